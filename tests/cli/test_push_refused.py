"""`openenv push` when it cannot: one clear sentence, the right exit code, and nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.hub.pushing import FILES, openenv, put, write_env
from support.hub.server import Hub, running_hub

SECRET = "very-secret-value"


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


@pytest.fixture
def hub(server: Hub) -> Hub:
    return server.fresh()


@dataclass(frozen=True)
class Case:
    """What is wrong, and what is said about it."""

    says: str
    arguments: tuple[str, ...] = ()
    code: int = 1
    token: str = "write"
    files: tuple[tuple[str, str | None], ...] = ()


def files(**changes: str | None) -> tuple[tuple[str, str | None], ...]:
    names = {
        "readme": "README.md",
        "manifest": "openenv.yaml",
        "dockerfile": "server/Dockerfile",
        "app": "server/app.py",
    }
    return tuple((names[name], content) for name, content in changes.items())


FAKE_TOKEN = "hf_" + "a" * 34  # not one of anybody's
CASES = {
    "no token": Case("no Hugging Face token was found: set HF_TOKEN", token="none"),
    "a token nobody has": Case("the Hub does not accept the token", token="unknown"),
    "a token that reads": Case("the token of alice can only read", token="read"),
    "somebody else's name": Case("belongs to bob", ("--repo-id", "bob/my_env")),
    "somebody else's new name": Case("belongs to bob", ("--repo-id", "bob/new")),
    "a name of three parts": Case("write NAME or OWNER/NAME", ("--repo-id", "a/b/c"), 2),
    "a name with spaces": Case("try my-env", ("--repo-id", "my env"), 2),
    "a name that is too long": Case("96 is the most", ("--repo-id", "x" * 100), 2),
    "hardware that is not": Case('"hardware" must be one of', ("--hardware", "toaster")),
    "a proposal to nothing": Case("there is no Space alice/gone", ("--repo-id", "alice/gone", "--create-pr")),
    "front matter that is no YAML": Case(
        "README.md:4: the front matter is not YAML", files=files(readme="---\na: 1\nb: [\n---\n")
    ),
    "front matter without end": Case("README.md:1: the front matter begins", files=files(readme="---\ntitle: x\n")),
    "front matter that is a list": Case("must hold `key: value`", files=files(readme="---\n- x\n---\n")),
    "what the Hub finds wrong in it": Case(
        "short_description",
        files=files(readme=f"---\nshort_description: {'x' * 61}\n---\n"),
    ),
    "no manifest": Case("has no openenv.yaml", files=files(manifest=None)),
    "a broken manifest": Case("openenv.yaml:3: not YAML", files=files(manifest="name: x\napp: [\n")),
    "no Dockerfile": Case("has no Dockerfile", files=files(dockerfile=None)),
    "no FROM": Case("has no FROM line", files=files(dockerfile="RUN true\n")),
    "no app": Case("where the app should be", files=files(app=None)),
    "a token in a file": Case(
        "server/app.py:2 holds a Hugging Face token", files=files(app=f"app = 1\nT = '{FAKE_TOKEN}'")
    ),
    "a secret in a file": Case("server/app.py:1 holds the value", ("--secret", f"K={SECRET}"), files=files(app=SECRET)),
    "a secret that is none": Case("--secret number 1 is not KEY=VALUE", ("--secret", f"={SECRET}"), 2),
    "a variable that is not set": Case("--env-var NOT_SET has no value", ("--env-var", "NOT_SET"), 2),
    "an exclude that is not": Case("there is no file nothing.txt", ("--exclude", "nothing.txt"), 2),
    "a folder that is not": Case("there is no folder nowhere", ("nowhere",), 2),
    "a tag without a registry": Case("--tag is for images", ("--tag", "v1"), 2),
    "a registry and a Space": Case("--private is for Spaces", ("--registry", "localhost:1", "--private"), 2),
    "many proposals": Case("--count does not go with --create-pr", ("--count", "2", "--create-pr"), 2),
    "a proposal of secrets": Case("--secret does not go with", ("--secret", f"K={SECRET}", "--create-pr"), 2),
    "two folders": Case("PATH and --directory are the same", (".", "--directory", "."), 2),
}


@pytest.mark.parametrize("name", CASES)
def test_one_sentence_and_nothing_left_behind(name: str, hub: Hub, tmp_path: Path) -> None:
    case = CASES[name]
    hub.store.add_user("bob")
    hub.store.add_repo("bob/my_env", files={"models.py": b"bob's"})
    tokens = {"write": hub.store.add_user("alice"), "none": None, "unknown": "hf_nobody"}
    tokens["read"] = hub.store.add_token("alice", "read")
    env = write_env(tmp_path / "env", dict(case.files))
    done = openenv(hub, env, "push", *case.arguments, token=tokens[case.token])
    assert case.says in done.error
    assert done.code == case.code
    assert SECRET not in done.out + done.err and FAKE_TOKEN not in done.out + done.err
    assert list(hub.store.repos) == [("space", "bob/my_env")]
    assert hub.store.space("bob/my_env").files()["models.py"] == b"bob's"
    assert {path.relative_to(env).as_posix() for path in env.rglob("*") if path.is_file()} == {
        path for path in {**FILES, **dict(case.files)} if {**FILES, **dict(case.files)}[path] is not None
    }


@pytest.mark.parametrize("kind", ["stored apart", "in the commit"])
def test_a_file_that_is_too_large_is_named_and_its_new_space_removed(kind: str, hub: Hub, tmp_path: Path) -> None:
    env, token = write_env(tmp_path / "env"), hub.store.add_user("alice")
    if kind == "stored apart":
        hub.store.largest = 1_500_000
        put(env, "large.bin", b"\0" * 2_000_000)
    else:
        hub.store.body_limit = 500_000
        put(env, "large.txt", b"x" * 900_000)
    done = openenv(hub, env, "push", token=token)
    assert done.code == 1
    assert ("Sending large.bin failed" if kind == "stored apart" else "does not accept such a large file") in done.error
    assert hub.store.repos == {}


def test_a_space_that_was_there_before_stays(hub: Hub, tmp_path: Path) -> None:
    env, token = write_env(tmp_path / "env"), hub.store.add_user("alice")
    hub.store.add_repo("alice/my_env", files={"mine": b"1"})
    hub.store.body_limit = 500_000
    put(env, "large.txt", b"x" * 900_000)
    assert openenv(hub, env, "push", token=token).code == 1
    assert hub.store.space("alice/my_env").files()["mine"] == b"1"


def test_a_hub_that_does_not_answer_is_said_so(hub: Hub, tmp_path: Path) -> None:
    env, token = write_env(tmp_path / "env"), hub.store.add_user("alice")
    done = openenv(hub, env, "push", token=token, HF_ENDPOINT="http://127.0.0.1:9")
    assert done.code == 1
    assert "the Hub did not answer" in done.error


def test_a_hub_in_trouble_is_said_so_and_the_next_push_goes_on(hub: Hub, tmp_path: Path) -> None:
    env, token = write_env(tmp_path / "env"), hub.store.add_user("alice")
    hub.store.broken = "/commit/"
    done = openenv(hub, env, "push", token=token)
    assert done.code == 1
    assert "the Hub has a problem (503" in done.error and "alice/my_env was created" in done.error
    hub.store.broken = None
    assert openenv(hub, env, "push", token=token).code == 0
    assert "models.py" in hub.store.space("alice/my_env").files()
