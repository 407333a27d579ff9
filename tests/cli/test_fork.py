"""`openenv fork` on the suite's Hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.hub.pushing import FILES, openenv
from support.hub.server import Hub, running_hub

SECRET = "very-secret-value"


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


@pytest.fixture
def hub(server: Hub) -> Hub:
    hub = server.fresh()
    hub.store.add_user("bob")
    files = {path: text.encode() for path, text in FILES.items()}
    hub.store.add_repo("bob/my_env", files=files, sdk="docker", variables={"LEVEL": "easy"}, secrets={"KEY": "bob's"})
    hub.store.add_repo("bob/hidden", files=files, private=True, sdk="docker")
    hub.store.add_repo("bob/page", files={"index.html": b"hello"}, sdk="static")
    return hub


def test_the_copy_is_in_ones_own_account(hub: Hub, tmp_path: Path) -> None:
    token = hub.store.add_user("alice")
    done = openenv(hub, tmp_path, "fork", "bob/my_env", token=token)
    assert (done.code, done.err) == (0, "")
    copy = hub.store.space("alice/my_env")
    assert copy.files() == hub.store.space("bob/my_env").files()
    assert (copy.private, copy.hardware, copy.secrets) == (False, "cpu-basic", {})
    assert "Copied bob/my_env to alice/my_env." in done.out
    assert f"{hub.url}/spaces/alice/my_env" in done.out and "https://alice-my-env.hf.space" in done.out


def test_the_copy_has_its_own_name_and_settings(hub: Hub, tmp_path: Path) -> None:
    token = hub.store.add_user("alice", "acme")
    options = ("--repo-id", "acme/mine", "--private", "--hardware", "t4-small", "-e", "LEVEL=hard")
    address = f"{hub.url}/spaces/bob/my_env"
    done = openenv(hub, tmp_path, "fork", address, *options, "--secret", f"KEY={SECRET}", token=token)
    assert done.code == 0, done.err
    copy = hub.store.space("acme/mine")
    assert (copy.private, copy.hardware) == (True, "t4-small")
    assert (copy.variables, copy.secrets) == ({"LEVEL": "hard"}, {"KEY": SECRET})
    assert SECRET not in done.out + done.err


def test_what_is_no_environment_is_copied_with_a_word(hub: Hub, tmp_path: Path) -> None:
    done = openenv(hub, tmp_path, "fork", "bob/page", token=hub.store.add_user("alice"))
    assert done.code == 0
    assert "bob/page has no openenv.yaml" in done.err


REFUSED: dict[str, tuple[tuple[str, ...], str | None, str, int]] = {
    "no token": (("bob/my_env",), None, "no Hugging Face token was found", 1),
    "a token that reads": (("bob/my_env",), "read", "the token of alice can only read", 1),
    "no such Space": (("bob/gone",), "write", "there is no Space bob/gone", 1),
    "a Space one cannot see": (("bob/hidden",), "write", "there is no Space bob/hidden", 1),
    "no name of a Space": (("my_env",), "write", "write OWNER/NAME", 2),
    "a name that is taken": (("bob/my_env", "-r", "taken"), "write", "alice/taken exists already", 1),
    "somebody else's name": (("bob/my_env", "-r", "bob/mine"), "write", "belongs to bob", 1),
    "a name that cannot be": (("bob/my_env", "-r", "a b"), "write", "try a-b", 2),
    "hardware that is not": (("bob/my_env", "-H", "toaster"), "write", '"hardware" must be one of', 1),
    "a secret that is none": (("bob/my_env", "--secret", f"={SECRET}"), "write", "--secret number 1", 2),
}


@pytest.mark.parametrize("name", REFUSED)
def test_one_sentence_and_no_copy(name: str, hub: Hub, tmp_path: Path) -> None:
    arguments, role, says, code = REFUSED[name]
    hub.store.add_user("alice")
    hub.store.add_repo("alice/taken")
    before = set(hub.store.repos)
    token = hub.store.add_token("alice", role) if role else None
    done = openenv(hub, tmp_path, "fork", *arguments, token=token)
    assert says in done.error
    assert done.code == code
    assert SECRET not in done.out + done.err
    assert set(hub.store.repos) == before
