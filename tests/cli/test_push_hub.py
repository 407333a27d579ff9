"""`openenv push` to the suite's Hub, as a process of its own: what arrives there, and what is told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.hub.pushing import FILES, Done, openenv, put, write_env
from support.hub.server import Hub, running_hub

from openenv_async.cli.wheel import build_wheel

SECRET = "very-secret-value"


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


@pytest.fixture
def hub(server: Hub) -> Hub:
    return server.fresh()


@pytest.fixture
def token(hub: Hub) -> str:
    return hub.store.add_user("alice", "acme")


@pytest.fixture
def env(tmp_path: Path) -> Path:
    return write_env(tmp_path / "env")


def push(hub: Hub, env: Path, token: str, *arguments: str, **more: str) -> Done:
    done = openenv(hub, env, "push", *arguments, token=token, **more)
    assert done.code == 0, done.err
    assert token not in done.out + done.err
    assert SECRET not in done.out + done.err
    return done


def test_the_space_has_the_files_the_dockerfile_and_the_settings(hub: Hub, env: Path, token: str) -> None:
    (env / "README.md").write_text("# Mine\n", encoding="utf-8")
    options = ("--private", "--hardware", "t4-small", "-e", "LEVEL=hard", "--secret", f"KEY={SECRET}")
    done = push(hub, env, token, *options)
    space = hub.store.space("alice/my_env")
    files = space.files()
    assert set(files) == {*FILES, "Dockerfile", ".gitattributes"}
    assert files["models.py"] == FILES["models.py"].encode()
    assert b"ENV ENABLE_WEB_INTERFACE=true" in files["Dockerfile"]
    assert files["README.md"].startswith(b"---\ntitle: My\n")
    assert (space.private, space.hardware, space.sdk) == (True, "t4-small", "docker")
    assert (space.variables, space.secrets) == ({"LEVEL": "hard"}, {"KEY": SECRET})
    assert f"{hub.url}/spaces/alice/my_env" in done.out
    assert "https://alice-my-env.hf.space" in done.out
    assert (env / "README.md").read_text(encoding="utf-8") == "# Mine\n", "the author's file was changed"


def test_the_settings_are_there_before_the_files(hub: Hub, env: Path, token: str) -> None:
    push(hub, env, token, "-e", "LEVEL=hard", "--secret", f"KEY={SECRET}")
    paths = [path.rpartition("/")[2] for _, path in hub.store.requests]
    order = [paths.index(name) for name in ("create", "variables", "secrets", "validate-yaml")]
    assert order == sorted(order)


def test_a_second_push_sends_nothing(hub: Hub, env: Path, token: str) -> None:
    put(env, "large.bin", b"\0" * 2_000_000)
    push(hub, env, token, "-e", "LEVEL=hard")
    hub.store.requests.clear()
    done = push(hub, env, token, "-e", "LEVEL=hard")
    assert "has all 9 files already; none was sent" in done.out
    assert [path for method, path in hub.store.requests if method in ("POST", "PUT")] == ["/api/repos/create"]


def test_only_what_changed_is_sent(hub: Hub, env: Path, token: str) -> None:
    large = put(env, "large.bin", b"\0" * 2_000_000)
    push(hub, env, token)
    put(env, "models.py", "WORD = 'other'\n")
    large.write_bytes(b"\1" * 2_000_000)
    done = push(hub, env, token)
    sent = [line["value"]["path"] for line in hub.store.commits[-1] if line["key"] != "header"]
    assert sorted(sent) == ["large.bin", "models.py"]
    assert "Sent 2 files (2.0 MB), 7 unchanged." in done.out
    assert hub.store.space("alice/my_env").files()["large.bin"] == b"\1" * 2_000_000


def test_delete_removes_what_is_not_here_and_keeps_the_rest(hub: Hub, env: Path, token: str) -> None:
    hub.store.add_repo("alice/my_env", files={"old/a": b"1", "old/b": b"2", "other": b"3", "models.py": b"4"})
    push(hub, env, token, "--delete", "old/*", "--delete", "models.py")
    files = hub.store.space("alice/my_env").files()
    assert {"other", "models.py", ".gitattributes"} <= set(files)
    assert not [path for path in files if path.startswith("old/")]
    push(hub, env, token, "--delete", "*")
    assert set(hub.store.space("alice/my_env").files()) == {*FILES, "Dockerfile", ".gitattributes"}


def test_count_makes_numbered_spaces(hub: Hub, env: Path, token: str) -> None:
    push(hub, env, token, "--repo-id", "acme/many", "--count", "2", "--secret", f"KEY={SECRET}")
    assert sorted(name for _, name in hub.store.repos) == ["acme/many-1", "acme/many-2"]
    one, two = (hub.store.space(f"acme/many-{number}") for number in (1, 2))
    assert one.files() == two.files()
    assert one.secrets == two.secrets == {"KEY": SECRET}


def test_a_proposal_changes_nothing_but_what_it_proposes(hub: Hub, env: Path, token: str) -> None:
    hub.store.add_user("bob")
    before = hub.store.add_repo("bob/my_env", files={"models.py": b"old"}).files()
    done = push(hub, env, token, "--repo-id", "bob/my_env", "--create-pr")
    space = hub.store.space("bob/my_env")
    assert space.files() == before
    assert space.files("refs/pr/1")["models.py"] == FILES["models.py"].encode()
    assert f"Proposed: {hub.url}/spaces/bob/my_env/discussions/1" in done.out
    assert not [path for _, path in hub.store.requests if path.endswith(("create", "variables"))]


def test_a_public_space_becomes_private_before_anything_is_sent(hub: Hub, env: Path, token: str) -> None:
    hub.store.add_repo("alice/my_env", hardware="cpu-basic")
    push(hub, env, token, "--private", "--hardware", "cpu-upgrade")
    space = hub.store.space("alice/my_env")
    assert (space.private, space.hardware) == (True, "cpu-upgrade")
    paths = [path for _, path in hub.store.requests]
    assert paths.index("/api/spaces/alice/my_env/settings") < paths.index("/api/spaces/alice/my_env/preupload/main")


def test_variables_of_the_manifest_hold_unless_the_command_says_otherwise(hub: Hub, env: Path, token: str) -> None:
    put(env, "openenv.yaml", FILES["openenv.yaml"] + "variables:\n  LEVEL: easy\n  ROUNDS: 3\n")
    push(hub, env, token, "--env-var", "LEVEL=hard")
    assert hub.store.space("alice/my_env").variables == {"LEVEL": "hard", "ROUNDS": "3"}


def test_a_secret_may_come_from_the_environment(hub: Hub, env: Path, token: str) -> None:
    push(hub, env, token, "--secret", "MY_KEY", MY_KEY=SECRET)
    assert hub.store.space("alice/my_env").secrets == {"MY_KEY": SECRET}


def test_the_runtime_goes_along_even_where_git_ignores_it(hub: Hub, env: Path, token: str, tmp_path: Path) -> None:
    put(env, "pyproject.toml", '[project]\nname = "my"\nversion = "1"\ndependencies = ["openenv-async"]\n')
    put(env, ".gitignore", "wheels/\n*.whl\n")
    push(hub, env, token)
    files = hub.store.space("alice/my_env").files()
    wheel = build_wheel(tmp_path / "built")
    assert files[f"wheels/{wheel.name}"] == wheel.read_bytes()


def test_secrets_stay_here_and_are_named(hub: Hub, env: Path, token: str) -> None:
    held_back = (".env", "server/.env.local", "key.pem", ".ssh/id_ed25519", "id_rsa", "credentials.json")
    for path in held_back:
        put(env, path, SECRET)
    put(env, "id_generator.py", "x = 1\n")
    put(env, ".env.example", "KEY=\n")
    done = push(hub, env, token)
    files = hub.store.space("alice/my_env").files()
    assert not set(held_back) & set(files)
    assert {"id_generator.py", ".env.example"} <= set(files)
    warning = next(line for line in done.err.splitlines() if line.startswith("Warning: left out"))
    assert all(path in warning for path in held_back)


def test_a_dry_run_lists_exactly_what_a_push_then_sends(hub: Hub, env: Path, token: str) -> None:
    put(env, "large.bin", b"\0" * 2_000_000)
    put(env, "server/data.txt", "x" * 1234)
    plan = push(hub, env, token, "--dry-run", "--secret", f"KEY={SECRET}")
    assert hub.store.repos == {}
    push(hub, env, token)
    sent = {line["value"]["path"] for line in hub.store.commits[-1] if line["key"] != "header"}
    listed = re.findall(r"^  new +([\d.]+ \w+)  (\S+)", plan.out, re.MULTILINE)
    assert {path for _, path in listed} == sent
    assert ("1.2 kB", "server/data.txt") in listed
    assert ("2.0 MB", "large.bin") in listed
    assert "secrets: KEY" in plan.out
    put(env, "models.py", "WORD = 1\n")
    assert re.search(
        r"changed +9 B  models.py\n.*Would send 1 file, 9 B; 9 files", push(hub, env, token, "--dry-run").out
    )


def test_a_dry_run_needs_no_token_and_no_hub(hub: Hub, env: Path) -> None:
    done = openenv(hub, env, "push", "--dry-run")
    assert done.code == 0
    assert "<you>/my_env" in done.out and "README.md" in done.out
    assert "nothing could be compared: no Hugging Face token" in done.err


def test_interface_and_base_image_reach_the_dockerfile(hub: Hub, env: Path, token: str) -> None:
    push(hub, env, token, "--no-interface", "--base-image", "python:3.13-slim")
    files = hub.store.space("alice/my_env").files()
    assert files["Dockerfile"].decode().splitlines()[1] == "FROM python:3.13-slim"
    assert b"ENABLE_WEB_INTERFACE" not in files["Dockerfile"]
    assert b"base_path" not in files["README.md"]


def test_the_patterns_of_a_file_are_left_out(hub: Hub, env: Path, token: str) -> None:
    put(env, "data/a.csv", "1")
    put(env, "data/keep.csv", "1")
    put(env, "skip.txt", "*.csv\n!keep.csv\nskip.txt\n")
    push(hub, env, token, "--exclude", "skip.txt")
    files = set(hub.store.space("alice/my_env").files())
    assert "data/keep.csv" in files
    assert not files & {"data/a.csv", "skip.txt"}


def test_what_init_writes_can_be_pushed(hub: Hub, token: str, tmp_path: Path) -> None:
    # Without uv on the way there is no lock file, and nothing is looked up in an index.
    assert openenv(hub, tmp_path, "init", "fresh_env", PATH="/nowhere", UV_OFFLINE="1").code == 0
    done = push(hub, tmp_path, token, "fresh_env")
    files = hub.store.space("alice/fresh_env").files()
    assert "Warning" not in done.err
    assert {"Dockerfile", "README.md", "openenv.yaml", "server/app.py"} <= set(files)
    assert [path for path in files if path.startswith("wheels/openenv_async-")]


def test_a_dry_run_of_an_image_lists_what_it_is_built_from(hub: Hub, env: Path) -> None:
    done = openenv(hub, env, "push", "--registry", "localhost:5000/team", "--tag", "v1", "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("localhost:5000/team/openenv-my:v1, built with server/Dockerfile")
    assert "models.py" in done.out and done.out.endswith("Nothing was built or sent.\n")


def test_an_image_needs_an_engine_and_says_so(hub: Hub, env: Path, tmp_path: Path) -> None:
    nobody = f"unix://{tmp_path}/nobody.sock"
    done = openenv(hub, env, "push", "--registry", "localhost:5000", DOCKER_HOST=nobody)
    assert done.code == 1
    assert "no container engine answers" in done.error
