"""The Hub's answers about people, repositories and the settings of Spaces."""

from __future__ import annotations

import re
from typing import Any

import yaml
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from support.hub.answers import Refusal, asking, repo_to_read, repo_to_write, someone, store_of
from support.hub.store import Commit, Repo

NAME = re.compile(r"[\w.-]{1,96}")
HARDWARE = ("cpu-basic", "cpu-upgrade", "t4-small", "t4-medium", "l4x1", "a10g-small", "a100-large")
COLORS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
DATE = "2025-01-01T00:00:00.000Z"


async def whoami(request: Request) -> Response:
    token = someone(request)
    user = store_of(request).users[token.user]
    return JSONResponse(
        {
            "type": "user",
            "id": f"id-{user.name}",
            "name": user.name,
            "fullname": user.name.title(),
            "isPro": False,
            "orgs": [{"type": "org", "name": name, "roleInOrg": "write"} for name in user.organizations],
            "auth": {
                "type": "access_token",
                "accessToken": {"displayName": "suite", "role": token.role, "createdAt": DATE},
            },
        }
    )


async def create(request: Request) -> Response:
    asked = await request.json()
    token, store = someone(request), store_of(request)
    kind, owner = asked.get("type") or "model", asked.get("organization") or token.user
    name = f"{owner}/{asked['name']}"
    if not store.may_write(token, owner):
        raise Refusal(403, f"You don't have the rights to create a {kind} under the namespace {owner!r}")
    if not NAME.fullmatch(asked["name"]) or "--" in name or ".." in name:
        raise Refusal(400, f"Invalid repo name: {name}")
    if kind == "space" and asked.get("sdk") not in ("docker", "gradio", "static", "streamlit"):
        raise Refusal(400, "Invalid sdk")
    _check_hardware(asked.get("hardware"))
    if (kind, name) in store.repos:
        raise Refusal(409, f"You already created this {kind} repo: {name}", url=url_of(request, kind, name))
    repo = store.add_repo(
        name,
        kind,
        private=asked.get("visibility") == "private" or bool(asked.get("private")),
        sdk=asked.get("sdk"),
        hardware=asked.get("hardware") or "cpu-basic",
        variables=_pairs(asked.get("variables")),
        secrets=_pairs(asked.get("secrets")),
    )
    return JSONResponse({"url": url_of(request, kind, name), "name": name, "id": f"id-{repo.name}"})


async def delete(request: Request) -> Response:
    asked = await request.json()
    token, store = someone(request), store_of(request)
    key = asked.get("type") or "model", f"{asked.get('organization') or token.user}/{asked['name']}"
    if key not in store.repos:
        raise Refusal(404, "Repository not found", "RepoNotFound")
    if not store.may_write(token, store.repos[key].owner):
        raise Refusal(403, "You don't have the rights to delete this repository")
    del store.repos[key]
    return Response("OK")


async def duplicate(request: Request) -> Response:
    source, asked = repo_to_read(request), await request.json()
    token, store = someone(request), store_of(request)
    name = asked["repository"]
    if not store.may_write(token, name.split("/")[0]):
        raise Refusal(403, f"You don't have the rights to create a repo under the namespace {name.split('/')[0]!r}")
    if source.kind == "space" and not asked.get("hardware"):
        raise Refusal(400, '"hardware" is required')
    _check_hardware(asked.get("hardware"))
    if (source.kind, name) in store.repos:
        raise Refusal(409, f"You already created this {source.kind} repo: {name}")
    copy = Repo(
        name,
        source.kind,
        private=source.private if asked.get("visibility") is None else asked["visibility"] == "private",
        sdk=source.sdk,
        hardware=asked.get("hardware"),
        variables=source.variables | _pairs(asked.get("variables")),
        secrets=_pairs(asked.get("secrets")),
        objects=dict(source.objects),
    )
    copy.commit("Duplicate from " + source.name, dict(source.refs["main"].files))
    store.repos[source.kind, name] = copy
    return JSONResponse({"url": url_of(request, source.kind, name)})


async def info(request: Request) -> Response:
    repo = repo_to_read(request)
    commit = revision_of(request, repo)
    blobs = request.query_params.get("blobs", "").lower() == "true"
    subdomain = re.sub(r"[^a-z0-9]+", "-", repo.name.lower())
    siblings: list[dict[str, Any]] = []
    for path, blob in sorted(commit.files.items()):
        siblings.append({"rfilename": path} | ({"size": blob.size, "blobId": blob.oid} if blobs else {}))
    body = {
        "_id": f"id-{repo.name}",
        "id": repo.name,
        "author": repo.owner,
        "sha": commit.oid,
        "lastModified": DATE,
        "createdAt": DATE,
        "private": repo.private,
        "gated": False,
        "disabled": False,
        "likes": 0,
        "tags": ["region:us"],
        "siblings": siblings,
    }
    if repo.kind == "space":
        body |= {
            "sdk": repo.sdk,
            "subdomain": subdomain,
            "host": repo.host or f"https://{subdomain}.hf.space",
            # Not asked of the stages: those are what GET .../runtime gives, in order.
            "runtime": {"stage": "BUILDING", "hardware": {"current": None, "requested": repo.hardware}},
        }
    return JSONResponse(body)


async def settings(request: Request) -> Response:
    repo, asked = repo_to_write(request), await request.json()
    if "visibility" in asked:
        repo.private = asked["visibility"] == "private"
    if "private" in asked:
        repo.private = bool(asked["private"])
    return JSONResponse({"private": repo.private})


async def variables(request: Request) -> Response:
    repo = repo_to_write(request)
    _change(repo.variables, request.method, await request.json() if request.method != "GET" else {})
    return JSONResponse({key: {"key": key, "value": value, "updatedAt": DATE} for key, value in repo.variables.items()})


async def secrets(request: Request) -> Response:
    repo = repo_to_write(request)
    _change(repo.secrets, request.method, await request.json() if request.method != "GET" else {})
    if request.method == "GET":
        return JSONResponse({key: {"key": key, "updatedAt": DATE} for key in repo.secrets})
    return Response()


async def runtime(request: Request) -> Response:
    return JSONResponse(_runtime(repo_to_read(request)))


async def hardware(request: Request) -> Response:
    repo, asked = repo_to_write(request), await request.json()
    _check_hardware(asked.get("flavor"))
    repo.hardware = asked["flavor"]
    return JSONResponse(_runtime(repo))


async def validate_yaml(request: Request) -> Response:
    """What the Hub says of a README: errors stop a commit, warnings do not."""
    asked = await request.json()
    errors: list[str] = []
    warnings: list[str] = []
    content = asked["content"].lstrip("\ufeff")
    block = content.split("---\n")[1] if content.startswith("---\n") and content.count("---\n") > 1 else ""
    try:
        card = yaml.safe_load(block) or {}
    except yaml.YAMLError as error:
        return _verdict([f"Invalid YAML: {error}"], [])
    if asked["repoType"] == "space":
        if not card:
            errors.append("Missing configuration in README")
        if card and card.get("sdk") not in ("docker", "gradio", "static", "streamlit"):
            errors.append('"sdk" must be one of [docker, gradio, static, streamlit]')
        errors += [
            f'"{key}" must be one of [{", ".join(COLORS)}]'
            for key in ("colorFrom", "colorTo")
            if key in card and card[key] not in COLORS
        ]
        if len(str(card.get("short_description", ""))) > 60:
            errors.append('"short_description" length must be less than or equal to 60 characters long')
    elif not card:
        warnings.append("empty or missing yaml metadata in repo card")
    return _verdict(errors, warnings)


def revision_of(request: Request, repo: Repo) -> Commit:
    commit = repo.at(request.path_params.get("revision", "main"))
    if commit is None:
        raise Refusal(404, "Invalid rev id", "RevisionNotFound")
    return commit


def url_of(request: Request, kind: str, name: str) -> str:
    prefix = "" if kind == "model" else f"{kind}s/"
    return f"{request.base_url}{prefix}{name}"


def _verdict(errors: list[str], warnings: list[str]) -> Response:
    body = {"errors": [{"message": each} for each in errors], "warnings": [{"message": each} for each in warnings]}
    return JSONResponse(body, 400 if errors else 200)


def _stage(repo: Repo) -> str:
    if repo.stages:
        return repo.stages.pop(0) if len(repo.stages) > 1 else repo.stages[0]
    return "BUILDING" if "Dockerfile" in repo.refs["main"].files else "NO_APP_FILE"


def _runtime(repo: Repo) -> dict[str, Any]:
    return {
        "stage": _stage(repo),
        "hardware": {"current": None, "requested": repo.hardware},
        "storage": None,
        "gcTimeout": 172800,
        "replicas": {"requested": 1},
    }


def _check_hardware(flavor: str | None) -> None:
    if flavor is not None and flavor not in HARDWARE:
        raise Refusal(400, f'"hardware" must be one of [{", ".join(HARDWARE)}]')


def _pairs(given: list[dict[str, str]] | None) -> dict[str, str]:
    return {each["key"]: each["value"] for each in given or []}


def _change(values: dict[str, str], method: str, asked: dict[str, str]) -> None:
    if method == "POST":
        values[asked["key"]] = asked["value"]
    elif method == "DELETE":
        values.pop(asked["key"], None)


async def anonymous_ok(request: Request) -> Response:
    asking(request)
    return JSONResponse({})


_REPO = "/api/{kind}/{owner}/{name}"
ROUTES: list[BaseRoute] = [
    Route("/api/whoami-v2", whoami),
    Route("/api/repos/create", create, methods=["POST"]),
    Route("/api/repos/delete", delete, methods=["DELETE"]),
    Route("/api/validate-yaml", validate_yaml, methods=["POST"]),
    Route(_REPO, info),
    Route(_REPO + "/revision/{revision:path}", info),
    Route(_REPO + "/auth-check", anonymous_ok),
    Route(_REPO + "/settings", settings, methods=["PUT"]),
    Route(_REPO + "/duplicate", duplicate, methods=["POST"]),
    Route(_REPO + "/variables", variables, methods=["GET", "POST", "DELETE"]),
    Route(_REPO + "/secrets", secrets, methods=["GET", "POST", "DELETE"]),
    Route(_REPO + "/runtime", runtime),
    Route(_REPO + "/hardware", hardware, methods=["POST"]),
]
