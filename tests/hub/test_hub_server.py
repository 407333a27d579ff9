"""The suite's Hub against the real client, call by call: what it takes, what it gives back, what it refuses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from support.hub.server import Hub, running_hub

# The client's own: it hands files to its HTTP library in a way that this one is about to drop.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture(scope="module")
def server() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


@pytest.fixture
def hub(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    # What HF_HUB_DISABLE_XET and HF_HOME set in a process of its own.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield server.fresh()
    huggingface_hub.close_session()


@pytest.fixture
def api(hub: Hub) -> HfApi:
    return HfApi(endpoint=hub.url, token=hub.store.add_user("alice", "acme"))


def make_space(api: HfApi, name: str = "alice/my_env") -> str:
    return api.create_repo(name, repo_type="space", space_sdk="docker").repo_id


def test_whoami_names_the_user_the_organisations_and_the_role(api: HfApi) -> None:
    answer = api.whoami()
    assert answer["name"] == "alice"
    assert [each["name"] for each in answer["orgs"]] == ["acme"]
    assert answer["auth"]["accessToken"]["role"] == "write"


def test_a_space_is_created_described_and_deleted(api: HfApi) -> None:
    url = api.create_repo("acme/my_env", repo_type="space", space_sdk="docker", private=True)
    assert (url.repo_id, url.repo_type) == ("acme/my_env", "space")
    info = api.space_info("acme/my_env")
    assert (info.private, info.sdk, info.host) == (True, "docker", "https://acme-my-env.hf.space")
    api.update_repo_settings("acme/my_env", private=False, repo_type="space")
    assert api.space_info("acme/my_env").private is False
    api.delete_repo("acme/my_env", repo_type="space")
    assert not api.repo_exists("acme/my_env", repo_type="space")


def test_creating_again_is_a_conflict_that_the_client_may_accept(api: HfApi) -> None:
    make_space(api)
    with pytest.raises(HfHubHTTPError) as refused:
        make_space(api)
    assert refused.value.response.status_code == 409
    assert api.create_repo("alice/my_env", repo_type="space", space_sdk="docker", exist_ok=True).repo_id


def test_a_folder_goes_up_and_comes_down_the_same(api: HfApi, hub: Hub, tmp_path: Path) -> None:
    files = {"a.txt": b"text", "sub/b.py": b"print()", "empty": b"", "large.bin": b"\0" * 5000}
    for path, content in files.items():
        (tmp_path / "up" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "up" / path).write_bytes(content)
    make_space(api)
    api.upload_folder(repo_id="alice/my_env", folder_path=tmp_path / "up", repo_type="space")
    assert hub.store.stored == [hashlib.sha256(files["large.bin"]).hexdigest()]
    down = Path(api.snapshot_download("alice/my_env", repo_type="space", cache_dir=tmp_path / "cache"))
    assert {path: (down / path).read_bytes() for path in files} == files


def test_the_listing_has_the_digests_of_git_and_of_large_files(api: HfApi) -> None:
    make_space(api)
    api.upload_file(path_or_fileobj=b"text", path_in_repo="sub/a.txt", repo_id="alice/my_env", repo_type="space")
    api.upload_file(path_or_fileobj=b"\0\1", path_in_repo="b.bin", repo_id="alice/my_env", repo_type="space")
    listed = {
        each.path: each
        for each in api.list_repo_tree("alice/my_env", recursive=True, repo_type="space")
        if isinstance(each, RepoFile)
    }
    assert listed["sub/a.txt"].blob_id == hashlib.sha1(b"blob 4\0text").hexdigest()
    large = listed["b.bin"].lfs
    assert large is not None and large.sha256 == hashlib.sha256(b"\0\1").hexdigest()
    assert [each.path for each in api.get_paths_info("alice/my_env", ["b.bin"], repo_type="space")] == ["b.bin"]


def test_a_listing_of_many_files_comes_in_pages(api: HfApi, hub: Hub) -> None:
    make_space(api)
    operations = [CommitOperationAdd(f"files/{number:04}.txt", b"x") for number in range(1100)]
    api.create_commit("alice/my_env", operations, commit_message="many", repo_type="space")
    assert len(api.list_repo_files("alice/my_env", repo_type="space")) == 1101
    assert hub.store.requests.count(("GET", "/api/spaces/alice/my_env/tree/main")) == 2


def test_a_commit_deletes_files_and_folders(api: HfApi, hub: Hub) -> None:
    hub.store.add_repo("alice/my_env", files={"a": b"1", "d/b": b"2", "d/c": b"3"})
    operations = [CommitOperationDelete("a"), CommitOperationDelete("d/")]
    api.create_commit("alice/my_env", operations, commit_message="gone", repo_type="space")
    assert api.list_repo_files("alice/my_env", repo_type="space") == [".gitattributes"]
    with pytest.raises(EntryNotFoundError):
        api.create_commit("alice/my_env", [CommitOperationDelete("a")], commit_message="gone", repo_type="space")


def test_a_proposal_has_a_reference_of_its_own(api: HfApi, hub: Hub) -> None:
    hub.store.add_repo("bob/my_env")
    done = api.create_commit(
        "bob/my_env", [CommitOperationAdd("a", b"1")], commit_message="a", repo_type="space", create_pr=True
    )
    assert (done.pr_num, done.pr_revision) == (1, "refs/pr/1")
    assert "a" not in api.list_repo_files("bob/my_env", repo_type="space")
    assert "a" in api.list_repo_files("bob/my_env", repo_type="space", revision="refs/pr/1")
    refs = api.list_repo_refs("bob/my_env", repo_type="space", include_pull_requests=True)
    assert [each.ref for each in refs.pull_requests or []] == ["refs/pr/1"]


def test_variables_secrets_and_hardware_are_kept(api: HfApi, hub: Hub) -> None:
    make_space(api)
    api.add_space_variable("alice/my_env", "LEVEL", "hard")
    api.add_space_variable("alice/my_env", "GONE", "1")
    api.delete_space_variable("alice/my_env", "GONE")
    assert {key: each.value for key, each in api.get_space_variables("alice/my_env").items()} == {"LEVEL": "hard"}
    api.add_space_secret("alice/my_env", "KEY", "value")
    assert list(api.get_space_secrets("alice/my_env")) == ["KEY"]
    assert hub.store.space("alice/my_env").secrets == {"KEY": "value"}
    api.request_space_hardware("alice/my_env", huggingface_hub.SpaceHardware.T4_SMALL)
    runtime = api.get_space_runtime("alice/my_env")
    assert (runtime.requested_hardware, runtime.stage) == ("t4-small", "NO_APP_FILE")


def test_a_copy_has_the_files_and_not_the_secrets(api: HfApi, hub: Hub) -> None:
    hub.store.add_repo("bob/my_env", files={"a": b"1"}, sdk="docker", secrets={"KEY": "value"})
    hardware = huggingface_hub.SpaceHardware.CPU_BASIC
    url = api.duplicate_repo("bob/my_env", "alice/copy", repo_type="space", space_hardware=hardware)
    assert url.repo_id == "alice/copy"
    assert hub.store.space("alice/copy").files()["a"] == b"1"
    assert hub.store.space("alice/copy").secrets == {}


def read_only(hub: Hub) -> HfApi:
    hub.store.add_repo("alice/taken")
    return HfApi(endpoint=hub.url, token=hub.store.add_token("alice", "read"))


def unknown(hub: Hub) -> HfApi:
    return HfApi(endpoint=hub.url, token="hf_nobody")


def other(hub: Hub) -> HfApi:
    hub.store.add_repo("alice/taken")
    hub.store.add_repo("alice/hidden", private=True)
    return HfApi(endpoint=hub.url, token=hub.store.add_user("bob"))


def own(hub: Hub) -> HfApi:
    hub.store.add_repo("alice/taken")
    hub.store.largest, hub.store.body_limit = 2000, 100_000
    return HfApi(endpoint=hub.url, token=hub.store.add_token("alice"))


def upload(name: str, content: bytes = b"1", path: str = "a") -> Callable[[HfApi], Any]:
    return lambda api: api.upload_file(
        path_or_fileobj=content, path_in_repo=path, repo_id=name, repo_type="space", commit_message="a"
    )


REFUSALS: dict[str, tuple[Callable[[Hub], HfApi], Callable[[HfApi], Any], type[Exception], int | None]] = {
    "a token nobody has": (unknown, lambda api: api.whoami(), HfHubHTTPError, 401),
    "creating with a token that reads": (read_only, make_space, HfHubHTTPError, 403),
    "sending with a token that reads": (read_only, upload("alice/taken"), HfHubHTTPError, 403),
    "sending to somebody else": (other, upload("alice/taken"), HfHubHTTPError, 403),
    "creating for somebody else": (other, make_space, HfHubHTTPError, 403),
    "looking at what is private": (other, lambda api: api.space_info("alice/hidden"), RepositoryNotFoundError, 404),
    "a repository that is not": (own, upload("alice/nothing"), RepositoryNotFoundError, 404),
    "a file that is not": (
        own,
        lambda api: api.hf_hub_download("alice/taken", "nothing", repo_type="space"),
        EntryNotFoundError,
        404,
    ),
    "a revision that is not": (
        own,
        lambda api: api.space_info("alice/taken", revision="nothing"),
        RevisionNotFoundError,
        404,
    ),
    "a large file over the limit": (own, upload("alice/taken", b"\0" * 3000), ValueError, None),
    "a commit over the limit": (own, upload("alice/taken", b"x" * 90_000), HfHubHTTPError, 413),
    "a README that no Space can have": (
        own,
        upload("alice/taken", b"---\nsdk: docker\ncolorFrom: mauve\n---\n", "README.md"),
        ValueError,
        None,
    ),
    "hardware that is not": (
        own,
        lambda api: api.request_space_hardware("alice/taken", huggingface_hub.SpaceHardware.ZERO_A10G),
        BadRequestError,
        400,
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_the_client_sees_the_refusal_it_knows(case: str, api: HfApi, hub: Hub) -> None:
    who, call, kind, status = REFUSALS[case]
    with pytest.raises(kind) as refused:
        call(who(hub))
    if status is not None:
        assert isinstance(refused.value, HfHubHTTPError)
        assert refused.value.response.status_code == status


def test_storage_takes_only_what_has_the_digest(api: HfApi, hub: Hub) -> None:
    make_space(api)
    digest = hashlib.sha256(b"right").hexdigest()
    answer = huggingface_hub.get_session().put(
        f"{hub.store.storage}/storage/space/alice/my_env/{digest}/5", content=b"wrong"
    )
    assert answer.status_code == 400
    operation = CommitOperationAdd("a.bin", b"right")
    operation.upload_info.sha256 = hashlib.sha256(b"other").digest()
    with pytest.raises(RuntimeError, match=r"a\.bin") as refused:
        api.create_commit("alice/my_env", [operation], commit_message="a", repo_type="space")
    assert isinstance(refused.value.__cause__, HfHubHTTPError)
    assert refused.value.__cause__.response.status_code == 400
    assert hub.store.stored == []
