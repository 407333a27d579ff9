"""What is published of the native wire stays readable, both ways, by older and newer peers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import frame_examples
import make_golden
import msgspec
import pytest
from frame_examples import EVERY_FRAME, GOLDEN, V1, VERSIONS, read_one

from openenv_async.protocol.frames import (
    CLIENT_FRAMES,
    SERVER_FRAMES,
    VERSION,
    AnyFrame,
    Frame,
    Step,
    encode,
    encode_batch,
)

PUBLISHED = [(version, name) for version, frames in VERSIONS.items() for name in frames]
BY_NAME = pytest.mark.parametrize("frame", EVERY_FRAME.values(), ids=list(EVERY_FRAME))


def golden(version: str, name: str) -> bytes:
    return (GOLDEN / version / f"{name}.msgpack").read_bytes()


def test_every_frame_type_has_an_example() -> None:
    assert {type(frame) for frame in EVERY_FRAME.values()} == {*CLIENT_FRAMES, *SERVER_FRAMES}


def test_every_golden_file_has_an_example_and_every_example_a_file() -> None:
    files = {(path.parent.name, path.stem) for path in GOLDEN.glob("*/*.msgpack")}
    assert files == set(PUBLISHED)


def test_the_present_version_has_golden_files() -> None:
    assert f"v{VERSION}" in VERSIONS


@pytest.mark.parametrize(("version", "name"), PUBLISHED)
def test_every_published_frame_still_decodes(version: str, name: str) -> None:
    frame = VERSIONS[version][name]
    assert read_one(frame, golden(version, name)) == frame


@pytest.mark.parametrize(("version", "name"), PUBLISHED)
def test_what_we_send_begins_with_the_fields_that_were_published(version: str, name: str) -> None:
    published = msgspec.msgpack.decode(golden(version, name))
    sent = msgspec.msgpack.decode(encode(VERSIONS[version][name]))
    assert sent[: len(published)] == published


def test_tags_are_unique_and_tell_the_side() -> None:
    tags: dict[Any, type[Frame]] = {}
    for frame in {*CLIENT_FRAMES, *SERVER_FRAMES}:
        assert tags.setdefault(frame.__struct_config__.tag, frame) is frame
    assert all(tag < 16 for tag, frame in tags.items() if frame in CLIENT_FRAMES)
    assert all(tag >= 16 for tag, frame in tags.items() if frame not in CLIENT_FRAMES)


@BY_NAME
def test_fields_of_a_newer_peer_are_passed_over(frame: AnyFrame) -> None:
    longer = msgspec.msgpack.encode([*msgspec.msgpack.decode(encode(frame)), {"new": [1]}, None, "more"])
    assert read_one(frame, longer) == frame


@BY_NAME
def test_fields_that_an_older_peer_leaves_out_get_their_defaults(frame: AnyFrame) -> None:
    fields = msgspec.structs.fields(type(frame))
    whole = msgspec.msgpack.decode(encode(frame))
    for left_out in range(1, sum(not field.required for field in fields) + 1):
        read = read_one(frame, msgspec.msgpack.encode(whole[:-left_out]))
        for at, field in enumerate(fields):
            given = at < len(fields) - left_out
            default = field.default_factory() if field.default is msgspec.NODEFAULT and not given else field.default
            assert getattr(read, field.name) == (getattr(frame, field.name) if given else default)


@BY_NAME
def test_a_required_field_that_is_missing_is_named(frame: AnyFrame) -> None:
    required = sum(field.required for field in msgspec.structs.fields(type(frame)))
    short = msgspec.msgpack.decode(encode(frame))[:required]
    with pytest.raises(msgspec.ValidationError, match=r"at least"):
        read_one(frame, msgspec.msgpack.encode(short))


def test_a_trace_is_no_way_to_send_much() -> None:
    long = encode(Step(1, 1, msgspec.Raw(b"\x80"), None, "x" * 1000))
    with pytest.raises(msgspec.ValidationError):
        read_one(Step(1, 1, msgspec.Raw(b"\x80")), long)


@BY_NAME
def test_required_fields_come_first(frame: AnyFrame) -> None:
    required = [field.required for field in msgspec.structs.fields(type(frame))]
    assert required == sorted(required, reverse=True)


def test_a_batch_is_the_array_of_its_frames() -> None:
    frames = list(V1.values())
    assert encode_batch(frames) == bytes([0x90 | len(frames)]) + b"".join(encode(frame) for frame in frames)


def test_the_generator_refuses_to_overwrite(tmp_path: Path) -> None:
    written = make_golden.write("v1", tmp_path)
    assert {path.stem for path in written} == set(frame_examples.V1)
    written[0].write_bytes(b"what was published")
    for path in written[1:]:
        path.unlink()
    with pytest.raises(FileExistsError, match=written[0].name):
        make_golden.write("v1", tmp_path)
    assert written[0].read_bytes() == b"what was published"
    assert not any(path.exists() for path in written[1:])
