"""`/schema`, `/openapi.json` and `/docs`: every reference resolves, and the page needs nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
import numpy as np
import pytest
from pydantic import BaseModel
from requirements import requirement
from starlette.routing import Route
from support.http_play import http

from openenv_async import Action, Observation, State, create_app
from openenv_async.server.app import EnvApp


class Inner(msgspec.Struct):
    x: float
    more: list[Inner] = []


class StructAction(Action):
    inner: Inner
    mode: Literal["a", "b"] = "a"
    pixels: np.ndarray[Any, np.dtype[np.uint8]] | None = None


class StructSeen(Observation):
    inner: Inner | None = None


@dataclass
class Point:
    x: float
    label: str | None = None


@dataclass
class DataAction:
    points: list[Point] = field(default_factory=list)


class Leaf(BaseModel):
    x: int


class ModelAction(BaseModel):
    leaf: Leaf
    leaves: dict[str, Leaf] = {}


def never() -> Any:
    raise AssertionError("a document built an environment")


APPS = {
    "struct": lambda: create_app(never, StructAction, StructSeen, "a <b> & 'c'", state_cls=State),
    "dataclass": lambda: create_app(never, DataAction, DataAction),
    "pydantic": lambda: create_app(never, ModelAction, ModelAction, state_cls=Leaf),
    "dict": lambda: create_app(never, dict, dict, state_cls=dict),
    "mixed": lambda: create_app(never, StructAction, ModelAction, state_cls=Point),
}
EACH = pytest.mark.parametrize("name", list(APPS))


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        mapping = node.get("mapping")
        if isinstance(mapping, dict):
            yield from (value for value in mapping.values() if isinstance(value, str) and value.startswith("#"))
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for item in node:
            yield from references(item)


def resolve(document: Any, ref: str) -> Any:
    assert ref.startswith("#/"), f"{ref} leads out of the document"
    node = document
    for part in ref[2:].split("/"):
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


def app_of(name: str) -> EnvApp:
    return APPS[name]()


@requirement("http:documents")
@EACH
async def test_every_reference_of_the_openapi_document_resolves(name: str) -> None:
    async with http(app=app_of(name)) as play:
        answer = await play.client.get("/openapi.json")
        assert answer.status_code == 200
        document = answer.json()
    assert document["openapi"].startswith("3.1")
    assert set(document["info"]) >= {"title", "version"}
    for ref in references(document):
        assert isinstance(resolve(document, ref), dict)
    assert "$defs" not in answer.text
    assert {"Action", "Observation", "State"} <= set(document["components"]["schemas"])


@EACH
async def test_the_openapi_document_names_every_route_and_no_other(name: str) -> None:
    app = app_of(name)
    async with http(app=app) as play:
        document = (await play.client.get("/openapi.json")).json()
        documented = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
        served = {
            (route.path, method)
            for route in app.routes
            if isinstance(route, Route) and route.path not in ("/docs", "/openapi.json")
            for method in (route.methods or set()) - {"HEAD"}
        }
        assert documented == served
        for path, method in documented:
            operation = document["paths"][path][method.lower()]
            assert operation["summary"]
            assert operation["responses"]
            for status, response in operation["responses"].items():
                assert re.fullmatch(r"[1-5]\d\d", status)
                assert response["description"]


@requirement("http:documents")
@EACH
async def test_every_reference_of_the_schemas_resolves(name: str) -> None:
    async with http(app=app_of(name)) as play:
        schemas = (await play.client.get("/schema")).json()
    assert set(schemas) == {"action", "observation", "state", "reset_observation"}
    for schema in schemas.values():
        for ref in references(schema):
            assert isinstance(resolve(schema, ref), dict)
        assert schema["type"] == "object"
        assert "properties" in schema


async def test_a_pydantic_models_schema_is_its_own() -> None:
    async with http(app=app_of("pydantic")) as play:
        schemas = (await play.client.get("/schema")).json()
    assert schemas["action"] == ModelAction.model_json_schema()
    assert schemas["state"] == Leaf.model_json_schema()


@requirement("http:documents")
@EACH
async def test_the_page_loads_nothing_from_anywhere(name: str) -> None:
    async with http(app=app_of(name)) as play:
        answer = await play.client.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    page = answer.text
    for found in re.findall(r"""(?:src|href|action|url)\s*[=(]\s*["']?([^"'\s>)]+)""", page):
        assert found == "openapi.json", found
    assert not re.search(r"<(script|link|iframe|img|object|embed)\b", page)
    assert not re.search(r"https?://(?!json-schema\.org)", page)
    for path in ("/reset", "/step", "/state", "/schema"):
        assert path in page


async def test_names_cannot_break_out_of_the_page() -> None:
    app = create_app(never, dict, dict, "<script>alert(1)</script>")
    async with http(app=app) as play:
        page = (await play.client.get("/docs")).text
    assert "<script" not in page
    assert "&lt;script&gt;" in page
