"""Names of images: what engines take, and sentences for what they do not."""

from __future__ import annotations

import pytest

from openenv_async.images.errors import InvalidImageName
from openenv_async.images.names import default_name, in_registry, parse_image_name


@pytest.mark.parametrize(
    ("name", "whole"),
    [
        ("openenv-my", "openenv-my:latest"),
        ("org/my_env:V1.2-x", "org/my_env:V1.2-x"),
        ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
        ("ghcr.io/org/env:v1", "ghcr.io/org/env:v1"),
        ("[::1]:5000/env", "[::1]:5000/env:latest"),
    ],
)
def test_names_that_engines_take(name: str, whole: str) -> None:
    assert str(parse_image_name(name)) == whole


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("My-Env", "the image name My-Env has capitals, which container engines refuse: try my-env"),
        ("ghcr.io/Org/env:v1", "capitals, which container engines refuse: try ghcr.io/org/env:v1"),
        ("my env", "try my-env"),
        ("my__-env", "try my-env"),
        ("env:", "'' is not a tag"),
        ("env:-x", "'-x' is not a tag"),
        (f"env:{'x' * 129}", "128 at most"),
        ("env@sha256:00", "use a name and a tag"),
        ("", "is not the name of an image"),
        ("host:port/env", "'host:port' is not the host of a registry"),
    ],
)
def test_other_names_are_refused_with_one_that_would_do(name: str, sentence: str) -> None:
    with pytest.raises(InvalidImageName) as refused:
        parse_image_name(name)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("environment", "name"),
    [("my_env", "openenv-my"), ("word_game", "openenv-word-game"), ("Mine!", "openenv-mine"), ("_env", "openenv-env")],
)
def test_default_names_are_ones_that_engines_take(environment: str, name: str) -> None:
    assert default_name(environment) == name
    assert parse_image_name(name).repository == name


@pytest.mark.parametrize(
    ("registry", "tag", "name"),
    [
        ("localhost:5000", None, "localhost:5000/openenv-my:v1"),
        ("https://ghcr.io/org/", "v2", "ghcr.io/org/openenv-my:v2"),
        ("somebody", None, "docker.io/somebody/openenv-my:v1"),
    ],
)
def test_names_in_a_registry(registry: str, tag: str | None, name: str) -> None:
    assert str(in_registry(parse_image_name("openenv-my:v1"), registry, tag)) == name
