"""The import hook, each time in a Python process of its own: what answers, what fails and how, what is left alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from requirements import requirement

from openenv_async.compat.modules import ABSENT, MODULES, OLD_CHILDREN


def run(script: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments, "-c", script] if not arguments else [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        check=False,
    )


def said(script: str) -> str:
    done = run(f"import openenv_async.compat as compat; compat.install()\n{script}")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def failure(statement: str) -> str:
    return said(f"try:\n    {statement}\nexcept ImportError as error:\n    print(type(error).__name__, error)")


@requirement("compat:names")
@pytest.mark.parametrize("name", sorted(name for name in MODULES if "env_server" in name))
def test_every_server_module_can_be_imported(name: str) -> None:
    assert said(f"import sys, {name}; print(sys.modules['{name}'].__name__)") == MODULES[name]


@requirement("compat:names")
def test_a_class_is_the_same_under_every_name() -> None:
    assert (
        said(
            "import warnings; warnings.simplefilter('ignore')\n"
            "from openenv.core.env_server.types import Action as one\n"
            "from openenv.core import Action as two\n"
            "from openenv_core.env_server import Action as three\n"
            "from openenv_core.env_server.types import Action as four\n"
            "from openenv_core import Action as five\n"
            "print(one is two is three is four is five)"
        )
        == "True"
    )


@requirement("compat:names")
@pytest.mark.parametrize("name", sorted(name for name in MODULES if "." in name and "executor" not in name))
def test_a_module_can_be_imported_from_its_package(name: str) -> None:
    package, _, child = name.rpartition(".")
    assert said(f"from {package} import {child} as one; import {name} as two; print(one is two)") == "True"


@requirement("compat:absent")
@pytest.mark.parametrize(
    "statement",
    [
        "from openenv.core import llm_client",
        "from openenv.core import harness",
        "from openenv import harbor",
        "from openenv.core.env_server import gradio_ui",
        "from openenv.core.containers.runtime import daytona_provider",
    ],
)
def test_a_module_that_is_not_provided_says_so_when_it_is_imported_from_its_package(statement: str) -> None:
    assert "is not part of openenv-async, which answers for `openenv` here: " in failure(statement)


@requirement("compat:absent")
@pytest.mark.parametrize("name", sorted(name for name in ABSENT if "containers" not in name))
def test_what_is_not_provided_says_so_and_what_to_do_instead(name: str) -> None:
    text = failure(f"import {name}")
    assert text.startswith("ModuleNotFoundError ")
    assert name in text and "openenv-async" in text and ABSENT[name] in text


@requirement("compat:absent")
@pytest.mark.parametrize("statement", ["from openenv import AutoEnv", "from openenv.core import LLMClient"])
def test_a_name_that_is_not_provided_says_so_and_what_to_do_instead(statement: str) -> None:
    assert "is not part of openenv-async: " in failure(statement)


@requirement("compat:absent")
@pytest.mark.parametrize(
    ("missing", "statement", "extra"),
    [
        ("fastapi", "from openenv.core.env_server import create_app", "compat"),
        ("pydantic", "import openenv.core.env_server.types", "compat"),
        ("fastmcp", "import openenv.core.env_server.mcp_environment", "mcp"),
        ("fastmcp", "from openenv.core.env_server import MCPEnvironment", "mcp"),
    ],
)
def test_a_missing_extra_is_named(missing: str, statement: str, extra: str) -> None:
    text = failure(f"import sys; sys.modules[{missing!r}] = None; {statement}")
    assert missing in text and f"pip install 'openenv-async[{extra}]'" in text


@requirement("compat:unknown")
@pytest.mark.parametrize(
    "statement",
    [
        "from openenv.core import StepResult",
        "from openenv import Environment",
        "import openenv.core.environment",
        "from openenv_core import HTTPEnvClient",
        "from openenv_core import StepResult",
        "import openenv.core.env_server._session_pool",
        "import openenv.core.http_env_client",
        "from openenv.core.env_server import StepResult",
        "import openenv_core.http_env_client",
        "import openenv.finder",
        "import openenv.core.env_server.app",
        "from openenv.core.env_server import app",
        "from openenv.core import http_env_client",
    ],
)
def test_what_0_10_0_does_not_have_fails_here_too(statement: str) -> None:
    text = failure(f"import warnings; warnings.simplefilter('ignore'); {statement}")
    assert text.startswith(("ImportError cannot import name", "ModuleNotFoundError No module named")), text


@requirement("compat:names")
def test_the_old_name_warns_as_on_0_10_0() -> None:
    assert "openenv_core is deprecated" in said(
        "import warnings\nwith warnings.catch_warnings(record=True) as seen:\n    warnings.simplefilter('always')\n"
        "    import openenv_core\nprint(seen[0].category.__name__, seen[0].message)"
    )
    assert set(OLD_CHILDREN) == {name.removeprefix("openenv.core.") for name in MODULES if name.count(".") == 2} - {
        "generic_client",
        "mcp_client",
        "sync_client",
    }


@requirement("compat:left-alone")
def test_an_installed_openenv_is_left_alone_unless_forced(tmp_path: Path) -> None:
    (tmp_path / "openenv").mkdir()
    (tmp_path / "openenv" / "__init__.py").write_text("core = 'the real one'\n")
    ask = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nfrom openenv_async.compat import install, uninstall\n"
    left = run(f"{ask}print(install())\nimport openenv\nprint(openenv.core)")
    assert left.stdout.splitlines() == ["('openenv_core',)", "the real one"], left.stderr
    forced = run(
        f"{ask}print(install(force=True))\nimport openenv\nprint(openenv.__version__)\nuninstall()\n"
        "import openenv\nprint(openenv.core)"
    )
    assert forced.stdout.splitlines() == ["('openenv', 'openenv_core')", "0.10.0", "the real one"], forced.stderr
    late = run(f"{ask}import openenv\ninstall(force=True)")
    assert "openenv is imported already" in late.stderr


@requirement("compat:left-alone")
def test_a_folder_called_openenv_is_no_installed_package(tmp_path: Path) -> None:
    (tmp_path / "openenv").mkdir()
    script = "from openenv_async.compat import install; install()\nimport openenv; print(openenv.__version__)"
    assert run(script, cwd=tmp_path).stdout.strip() == "0.10.0"


@requirement("compat:script")
def test_a_script_and_a_module_run_with_the_names_answered(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("from openenv import __version__\n")
    (tmp_path / "play.py").write_text("import sys, helper\nprint(__name__, helper.__version__, sys.argv[1:])\n")
    script = run("", "-m", "openenv_async.compat", str(tmp_path / "play.py"), "--fast", "2")
    assert script.stdout.strip() == "__main__ 0.10.0 ['--fast', '2']", script.stderr
    module = run("", "-m", "openenv_async.compat", "-m", "play", "-m", cwd=tmp_path)
    assert module.stdout.strip() == "__main__ 0.10.0 ['-m']", module.stderr
    wrong = run("", "-m", "openenv_async.compat", "--what")
    assert wrong.returncode == 1 and "usage:" in wrong.stderr


@requirement("compat:light")
def test_installing_the_hook_loads_neither_server_nor_client() -> None:
    heavy = ("pydantic", "fastapi", "starlette", "httpx", "numpy", "openenv_async.client", "openenv_async.server")
    assert said(f"import sys; print([name for name in {heavy!r} if name in sys.modules])") == "[]"
