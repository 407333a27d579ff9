"""The Hub's answers about files: listing, uploading, committing, downloading."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from support.hub.answers import Refusal, kind_of, repo_to_change, repo_to_read, someone, store_of
from support.hub.repos import revision_of, url_of
from support.hub.store import Blob, Commit, Repo, Store, regular

PAGE = 1000


async def preupload(request: Request) -> Response:
    repo, asked = repo_to_change(request), await request.json()
    commit = revision_of(request, repo)
    ignored = asked.get("gitIgnore")
    if ignored is None and ".gitignore" in commit.files:
        ignored = commit.files[".gitignore"].content.decode()
    files = []
    for file in asked["files"]:
        blob = commit.files.get(file["path"])
        files.append(
            {
                "path": file["path"],
                "uploadMode": "lfs" if _is_large(store_of(request), commit, file) else "regular",
                "shouldIgnore": _ignores(ignored or "", file["path"]),
                "oid": (blob.sha256 or blob.oid) if blob else None,
            }
        )
    return JSONResponse({"files": files, "commitOid": commit.oid})


async def lfs_batch(request: Request) -> Response:
    repo, asked, store = _lfs_repo(request), await request.json(), store_of(request)
    objects: list[dict[str, Any]] = []
    for each in asked["objects"]:
        entry = {"oid": each["oid"], "size": each["size"]}
        if each["size"] > store.largest:
            entry["error"] = {"code": 422, "message": f"File size {each['size']} exceeds the limit of {store.largest}"}
        elif each["oid"] not in repo.objects:
            entry["actions"] = {
                "upload": {"href": _storage_url(request, repo, each["oid"], each["size"])},
                "verify": {"href": f"{request.base_url}{repo.kind}s/{repo.name}.git/info/lfs/objects/verify"},
            }
        objects.append(entry)
    return JSONResponse({"transfer": "basic", "objects": objects}, media_type="application/vnd.git-lfs+json")


async def lfs_put(request: Request) -> Response:
    """The storage: addressed by digest, asks for no token, takes what has the digest and the size."""
    store, path, repo = store_of(request), request.path_params, _stored_at(request)
    content = await request.body()
    if store.stall_after is not None and len(store.stored) >= store.stall_after:
        store.stalled.set()
        while (await request.receive())["type"] != "http.disconnect":
            pass
        return Response(status_code=500)
    if len(content) != path["size"]:
        raise Refusal(400, "IncompleteBody")
    if hashlib.sha256(content).hexdigest() != path["oid"]:
        raise Refusal(400, "XAmzContentSHA256Mismatch: the provided SHA256 header does not match what was computed")
    repo.objects[path["oid"]] = content
    store.stored.append(path["oid"])
    return Response(headers={"ETag": f'"{path["oid"]}"'})


async def lfs_verify(request: Request) -> Response:
    repo, asked = _lfs_repo(request), await request.json()
    content = repo.objects.get(asked["oid"])
    if content is None or len(content) != asked["size"]:
        raise Refusal(404, "Object does not exist on the server")
    return Response()


async def commit(request: Request) -> Response:
    repo, store = repo_to_change(request), store_of(request)
    lines = [json.loads(line) for line in (await request.body()).splitlines() if line]
    store.commits.append(lines)
    parent = revision_of(request, repo)
    header = next(line["value"] for line in lines if line["key"] == "header")
    if header.get("parentCommit") not in (None, parent.oid):
        raise Refusal(412, "A commit has happened since. Please refresh and try again.")
    files = dict(parent.files)
    for line in lines:
        _apply(repo, store, files, line["key"], line["value"])
    ref = request.path_params["revision"]
    number = sum(name.startswith("refs/pr/") for name in repo.refs) + 1
    is_proposal = request.query_params.get("create_pr") == "1"
    if is_proposal:
        ref = f"refs/pr/{number}"
    made = repo.commit(header["summary"], files, ref)
    url = url_of(request, repo.kind, repo.name)
    answer = {"success": True, "commitOid": made.oid, "commitUrl": f"{url}/commit/{made.oid}", "hookOutput": ""}
    return JSONResponse(answer | ({"pullRequestUrl": f"{url}/discussions/{number}"} if is_proposal else {}))


def _apply(repo: Repo, store: Store, files: dict[str, Blob], key: str, value: dict[str, Any]) -> None:
    path = value.get("path", "")
    if key == "file":
        content = base64.b64decode(value["content"])
        if len(content) > store.large_from:
            raise Refusal(413, f"{path} is larger than {store.large_from} bytes: use LFS")
        files[path] = regular(content)
    elif key == "lfsFile":
        if value["oid"] not in repo.objects:
            raise Refusal(422, f"LFS pointer pointed to a file that does not exist: {path}")
        files[path] = Blob(b"", value["oid"], len(repo.objects[value["oid"]]))
    elif key in ("deletedFile", "deletedFolder"):
        gone = [each for each in files if each == path or each.startswith(path.rstrip("/") + "/")]
        if not gone:
            raise Refusal(404, f"A file with this name doesn't exist: {path}", "EntryNotFound")
        for each in gone:
            del files[each]


async def tree(request: Request) -> Response:
    repo = repo_to_read(request)
    found, folder = _at(repo, request.path_params["rest"])
    recursive = request.query_params.get("recursive", "").lower() in ("1", "true")
    entries = _entries(found, folder, recursive)
    start = int(request.query_params.get("cursor", "0"))
    headers = {}
    if len(entries) > start + PAGE:
        following = request.url.include_query_params(cursor=start + PAGE)
        headers["Link"] = f'<{following}>; rel="next"'
    return JSONResponse(entries[start : start + PAGE], headers=headers)


async def paths_info(request: Request) -> Response:
    found = revision_of(request, repo_to_read(request))
    paths = parse_qs((await request.body()).decode())["paths"]
    return JSONResponse([each for each in _entries(found, "", True) if each["path"] in paths])


async def refs(request: Request) -> Response:
    repo = repo_to_read(request)
    branches = [{"name": "main", "ref": "refs/heads/main", "targetCommit": repo.refs["main"].oid}]
    proposals = [
        {"name": name.removeprefix("refs/"), "ref": name, "targetCommit": each.oid}
        for name, each in repo.refs.items()
        if name.startswith("refs/pr/")
    ]
    return JSONResponse({"branches": branches, "converts": [], "tags": [], "pullRequests": proposals})


async def resolve(request: Request) -> Response:
    repo = repo_to_read(request)
    found, path = _at(repo, request.path_params["rest"])
    blob = found.files.get(path)
    if blob is None:
        raise Refusal(404, "Entry not found", "EntryNotFound")
    headers = {"X-Repo-Commit": found.oid, "Accept-Ranges": "bytes"}
    if blob.sha256 is None:
        return Response(blob.content, headers=headers | {"ETag": f'"{blob.oid}"'})
    headers |= {"X-Linked-Size": str(blob.size), "X-Linked-Etag": f'"{blob.sha256}"'}
    return RedirectResponse(_storage_url(request, repo, blob.sha256, blob.size), 302, headers=headers)


async def lfs_get(request: Request) -> Response:
    oid = request.path_params["oid"]
    return Response(_stored_at(request).objects[oid], headers={"ETag": f'"{oid}"'})


def _storage_url(request: Request, repo: Repo, oid: str, size: int) -> str:
    return f"{store_of(request).storage}/storage/{repo.kind}/{repo.name}/{oid}/{size}"


def _stored_at(request: Request) -> Repo:
    # Another host in real life: a token that gets there has leaked.
    assert "authorization" not in request.headers
    path = request.path_params
    return store_of(request).repos[path["kind"], f"{path['owner']}/{path['name']}"]


def _at(repo: Repo, rest: str) -> tuple[Commit, str]:
    """Read `revision/path`; the reference of a proposal has slashes itself."""
    parts = rest.split("/")
    length = 3 if rest.startswith("refs/pr/") else 1
    found = repo.at("/".join(parts[:length]))
    if found is None:
        raise Refusal(404, "Invalid rev id", "RevisionNotFound")
    return found, "/".join(parts[length:])


def _entries(commit: Commit, folder: str, recursive: bool) -> list[dict[str, Any]]:
    prefix = f"{folder}/" if folder else ""
    entries: dict[str, dict[str, Any]] = {}
    for path, blob in sorted(commit.files.items()):
        if not path.startswith(prefix):
            continue
        parts = path[len(prefix) :].split("/")
        for depth in range(1, len(parts)):
            name = prefix + "/".join(parts[:depth])
            oid = hashlib.sha1(f"tree {commit.oid} {name}".encode()).hexdigest()
            if recursive or depth == 1:
                entries.setdefault(name, {"type": "directory", "oid": oid, "size": 0, "path": name})
        if recursive or len(parts) == 1:
            entries[path] = {"type": "file", "oid": blob.oid, "size": blob.size, "path": path}
            if blob.sha256 is not None:
                entries[path]["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": 131}
    if folder and not entries:
        raise Refusal(404, f"{folder} does not exist on {commit.oid}", "EntryNotFound")
    return list(entries.values())


def _is_large(store: Store, commit: Commit, file: dict[str, Any]) -> bool:
    attributes = commit.files[".gitattributes"].content.decode() if ".gitattributes" in commit.files else ""
    patterns = [line.split()[0] for line in attributes.splitlines() if "filter=lfs" in line]
    name = file["path"].rpartition("/")[2]
    is_binary = b"\0" in base64.b64decode(file["sample"])
    return file["size"] > store.large_from or is_binary or any(fnmatch.fnmatch(name, each) for each in patterns)


def _ignores(text: str, path: str) -> bool:
    patterns = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    parts = path.split("/")
    return any(fnmatch.fnmatch(part, pattern.rstrip("/")) for pattern in patterns for part in parts)


def _lfs_repo(request: Request) -> Repo:
    # Who proposes uploads too, before there is a branch that the token could be asked about.
    someone(request)
    repo = repo_to_read(request)
    assert repo.kind == kind_of(request)
    return repo


_API = "/api/{kind}/{owner}/{name}"
_STORAGE = "/storage/{kind}/{owner}/{name}/{oid}/{size:int}"
ROUTES: list[BaseRoute] = [
    Route(_API + "/preupload/{revision:path}", preupload, methods=["POST"]),
    Route(_API + "/commit/{revision:path}", commit, methods=["POST"]),
    Route(_API + "/tree/{rest:path}", tree),
    Route(_API + "/paths-info/{revision:path}", paths_info, methods=["POST"]),
    Route(_API + "/refs", refs),
    Route("/{kind}/{owner}/{name}.git/info/lfs/objects/batch", lfs_batch, methods=["POST"]),
    Route("/{kind}/{owner}/{name}.git/info/lfs/objects/verify", lfs_verify, methods=["POST"]),
    Route(_STORAGE, lfs_put, methods=["PUT"]),
    Route(_STORAGE, lfs_get, methods=["GET", "HEAD"]),
    Route("/{kind}/{owner}/{name}/resolve/{rest:path}", resolve, methods=["GET", "HEAD"]),
]
