"""A module's test is found by its path, or stands below with what covers it."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import ROOT, TESTS

SMALL = 60
"""Lines of a module that may do without a test of its own."""

ELSEWHERE: dict[str, str] = {
    "openenv_async/server/operator_key.py": "server/test_operators.py",
    "openenv_async/conformance": "conformance/test_*.py",
    "openenv_async/cli/check.py": "conformance/test_check_command.py",
    "openenv_async/cli/validate.py": "conformance/test_validate_command.py",
    "openenv_async/cli/info.py": "conformance/test_validate_command.py",
    "openenv_async/cli/describing.py": "conformance/test_validate_command.py",
    "openenv_async/cli/manifest.py": "conformance/test_project_manifest.py",
    "openenv_async/cli/admin_client.py": "cli/test_top.py",
    "openenv_async/cli/sessions.py": "cli/test_top.py",
    "openenv_async/cli/session_table.py": "cli/test_top.py",
    "openenv_async/cli/top_screen.py": "cli/test_top.py",
    "openenv_async/cli/apps.py": "cli/test_serve.py",
    "openenv_async/cli/targets.py": "cli/test_serve.py",
    "openenv_async/cli/failures.py": "cli/test_serve_problems.py",
    "openenv_async/cli/shutdown_watchdog.py": "cli/test_serve.py",
    "openenv_async/cli/building.py": "docker/test_build_*.py",
    "openenv_async/cli/wheel.py": "packaging/test_wheel.py",
    "openenv_async/cli/uv_lock.py": "packaging/test_wheel.py",
    "openenv_async/cli/hub_session.py": "cli/test_push_login.py",
    "openenv_async/cli/push_registry.py": "docker/test_push_image.py",
    "openenv_async/cli/push_report.py": "cli/test_push_hub.py",
    "openenv_async/cli/replay_report.py": "cli/test_replay.py",
    "openenv_async/cli/replaying.py": "cli/test_replay.py",
    "openenv_async/cli/project.py": "cli/test_init_project.py",
    "openenv_async/cli/scaffolding.py": "cli/test_init_*.py",
    "openenv_async/client/channel.py": "client/test_client_native.py",
    "openenv_async/client/codecs.py": "client/test_env_typed.py",
    "openenv_async/client/json.py": "wires/test_*.py",
    "openenv_async/client/launch.py": "providers/test_providers_*.py",
    "openenv_async/client/options.py": "client/test_env_rules.py",
    "openenv_async/client/tracing.py": "observe/test_spans.py",
    "openenv_async/codec/encoding.py": "codec/test_codec_values.py",
    "openenv_async/codec/factory.py": "codec/test_codec_kinds.py",
    "openenv_async/codec/hooks.py": "codec/test_codec_values.py",
    "openenv_async/codec/numpy_coercion.py": "codec/test_codec_arrays.py",
    "openenv_async/codec/pydantic_interop.py": "codec/test_pydantic_codec.py",
    "openenv_async/compat/client/containers": "compat/client/containers/test_*.py",
    "openenv_async/compat/client": "compat/client/test_*.py",
    "openenv_async/compat/modules.py": "compat/test_compat_finder.py",
    "openenv_async/compat/rubrics": "compat/rubrics/test_rubrics.py",
    "openenv_async/compat/server": "interop/test_interop_golden.py",
    "openenv_async/compat/tools": "compat/tools/test_code_tools.py",
    "openenv_async/environment.py": "runtime/executors/test_executor_contract.py",
    "openenv_async/limits.py": "room/test_flood_*.py",
    "openenv_async/results.py": "client/test_env_typed.py",
    "openenv_async/tracing.py": "observe/test_spans.py",
    "openenv_async/hub/account.py": "cli/test_push_login.py",
    "openenv_async/hub/failures.py": "cli/test_push_refused.py",
    "openenv_async/hub/forking.py": "cli/test_fork.py",
    "openenv_async/hub/publishing.py": "cli/test_push_hub.py",
    "openenv_async/hub/dockerfile.py": "hub/test_space_files.py",
    "openenv_async/hub/files.py": "hub/test_space_files.py",
    "openenv_async/hub/frontmatter.py": "hub/test_space_files.py",
    "openenv_async/hub/secret_scan.py": "hub/test_space_files.py",
    "openenv_async/images/base.py": "docker/test_build_image.py",
    "openenv_async/images/buildkit.py": "images/test_images_dockerfile.py",
    "openenv_async/images/engine.py": "docker/test_engine_gone.py",
    "openenv_async/images/errors.py": "cli/test_build_problems.py",
    "openenv_async/images/progress.py": "cli/test_image_progress.py",
    "openenv_async/images/push.py": "docker/test_push_image.py",
    "openenv_async/observe/exposition.py": "observe/test_metrics.py",
    "openenv_async/observe/log_formatters.py": "cli/test_serve_logs.py",
    "openenv_async/observe/session_log.py": "cli/test_serve_logs.py",
    "openenv_async/observe/loop_monitor.py": "observe/test_blocked_loop.py",
    "openenv_async/providers/base.py": "providers/test_providers_*.py",
    "openenv_async/recording/files.py": "recording/test_recorder_bounds.py",
    "openenv_async/recording/writer.py": "recording/test_recorder_bounds.py",
    "openenv_async/recording/reading.py": "cli/test_replay.py",
    "openenv_async/recording/values.py": "recording/test_recording_lines.py",
    "openenv_async/runtime/blueprint.py": "runtime/executors/test_factory.py",
    "openenv_async/runtime/call_adapter.py": "runtime/executors/test_executor_contract.py",
    "openenv_async/runtime/executors/base.py": "runtime/executors/test_executor_contract.py",
    "openenv_async/runtime/executors/bounded_cancel.py": "runtime/executors/test_inline_stubborn.py",
    "openenv_async/runtime/executors/process.py": "runtime/executors/test_executor_*.py",
    "openenv_async/runtime/executors/thread.py": "runtime/executors/test_executor_*.py",
    "openenv_async/runtime/host.py": "runtime/executors/test_executor_*.py",
    "openenv_async/runtime/processes": "runtime/processes/test_*.py",
    "openenv_async/runtime/rendering.py": "server/web/test_web_routes.py",
    "openenv_async/runtime/request_session.py": "runtime/test_registry_unbegun.py",
    "openenv_async/runtime/resumption.py": "runtime/test_session_resume.py",
    "openenv_async/server/app.py": "server/test_http_routes.py",
    "openenv_async/server/hypercorn_connection.py": "server/test_runner.py",
    "openenv_async/server/hypercorn_worker.py": "server/test_runner.py",
    "openenv_async/server/json_ws.py": "wires/test_*.py",
    "openenv_async/server/native.py": "wires/test_*.py",
    "openenv_async/server/lifespan.py": "server/test_runner.py",
    "openenv_async/server/metrics_route.py": "observe/test_metrics.py",
    "openenv_async/server/options.py": "cli/test_serve*.py",
    "openenv_async/server/rate_limits.py": "room/test_flood_sockets.py",
    "openenv_async/server/server.py": "resume/test_drain_episodes.py",
    "openenv_async/server/session_listing.py": "server/test_operators.py",
    "openenv_async/server/settings.py": "cli/test_serve*.py",
    "openenv_async/server/telemetry.py": "cli/test_serve_observing.py",
    "openenv_async/server/web": "server/web/test_web_routes.py",
    "openenv_async/transport/in_process.py": "transport/test_link_contract.py",
    "openenv_async/transport/proxy_client.py": "transport/test_link_contract.py",
    "openenv_async/transport/ws_client.py": "transport/test_link_contract.py",
    "openenv_async/transport/ws_server.py": "transport/test_link_contract.py",
}
"""Modules and packages that are tested together with others, and where in `tests`."""


def big_modules() -> list[str]:
    return [
        path.relative_to(ROOT).as_posix()
        for package in ("openenv_async", "openenv_sync")
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.name not in ("__init__.py", "__main__.py") and path.read_text(encoding="utf-8").count("\n") > SMALL
    ]


def found_by_path(module: str) -> list[Path]:
    """The tests of a module: `test_NAME*.py` in its package's folder, with or without packages before the name."""
    path = Path(module)
    packages = [part for part in path.parts[:-1] if part != "openenv_async"]
    folders = [TESTS.joinpath(*packages[:count]) for count in range(len(packages), 0, -1)] or [TESTS]
    found = []
    for test in (test for folder in folders for test in sorted(folder.glob("test_*.py"))):
        name = test.stem.removeprefix("test_")
        for part in [*packages, "sync"]:
            if name.startswith(f"{part}_") and not path.stem.startswith(f"{part}_"):
                name = name.removeprefix(f"{part}_")
        if name == path.stem or name.startswith(f"{path.stem}_"):
            found.append(test)
    return found


def covered_by(module: str) -> str:
    """What `ELSEWHERE` says of a module or of a package that it is in."""
    places = [module, *(parent.as_posix() for parent in Path(module).parents)]
    return next((ELSEWHERE[place] for place in places if place in ELSEWHERE), "")


@pytest.mark.parametrize("package", ["openenv_async", "openenv_sync"])
def test_every_module_has_its_test_where_its_path_says(package: str) -> None:
    modules = [module for module in big_modules() if module.startswith(f"{package}/")]
    assert [module for module in modules if not found_by_path(module) and not covered_by(module)] == []


def test_what_covers_a_module_is_there() -> None:
    for module, place in ELSEWHERE.items():
        assert (ROOT / module).exists(), module
        assert list(TESTS.glob(place)), place


def test_no_module_is_listed_that_has_its_test() -> None:
    assert [module for module in ELSEWHERE if module.endswith(".py") and found_by_path(module)] == []
