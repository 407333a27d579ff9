"""What is read out of a Dockerfile: the images it starts from, and the line that needs BuildKit."""

from __future__ import annotations

import pytest

from openenv_async.images.buildkit import needs_buildkit
from openenv_async.images.dockerfile import Dockerfile


@pytest.mark.parametrize(
    ("text", "need"),
    [
        ("FROM a\nRUN --mount=type=cache,target=/x pip install y\n", (2, "RUN --mount")),
        ("FROM a\nRUN \\\n  # why\n  --mount=type=secret,id=x true\n", (2, "RUN --mount")),
        ("FROM a\nRUN <<EOF\ntrue\nEOF\n", (2, "RUN <<EOF")),
        ("FROM a\nCOPY <<-'end' /x\nhello\nend\n", (2, "COPY <<-'end'")),
        ("FROM a\nCOPY --from=b --link x y\n", (2, "COPY --link")),
        ("FROM a\nCOPY --chmod=755 x y\n", (2, "COPY --chmod")),
        ("FROM --platform=$BUILDPLATFORM a\n", (1, "FROM --platform=$BUILDPLATFORM")),
        ("# syntax=somebody/frontend:2\nFROM a\n", (1, "# syntax=somebody/frontend:2")),
        # The usual first line, and nothing that it would be needed for.
        ("# syntax=docker/dockerfile:1\nFROM a\nRUN true\n", None),
        ("# syntax=docker/dockerfile:1\nFROM a\nRUN --mount=type=cache,target=/x true\n", (3, "RUN --mount")),
        ("FROM a\nCOPY --from=b --chown=c:d x y\nRUN echo --mount $((1<<2)) a<<b\n", None),
        ("FROM a\n# RUN --mount=type=cache true\n", None),
        ("FROM a\nHEALTHCHECK --interval=5s CMD true\n", None),
    ],
)
def test_the_line_that_needs_buildkit_is_named(text: str, need: tuple[int, str] | None) -> None:
    assert needs_buildkit(Dockerfile(text)) == need


def test_images_are_named_with_arguments_put_in() -> None:
    text = (
        "ARG BASE=python:3.12\nARG EMPTY\nFROM $BASE AS builder\nFROM ${EMPTY:-alpine} as other\n"
        "FROM builder\nFROM scratch\nFROM --platform=linux/amd64 ${BASE}\n"
    )
    assert Dockerfile(text).images({}) == ["python:3.12", "alpine"]
    assert Dockerfile(text).images({"BASE": "openenv-base"}) == ["openenv-base", "alpine"]


def test_another_base_takes_the_place_of_the_first() -> None:
    text = "# FROM a\nFROM a AS x\nFROM  a\nFROM b\nFROM x\n"
    assert Dockerfile(text).on_base("c:1").text == "# FROM a\nFROM c:1 AS x\nFROM  c:1\nFROM b\nFROM x\n"
