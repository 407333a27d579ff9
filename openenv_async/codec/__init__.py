"""Codecs: values of a user's action, observation and state classes to bytes and back.

    codec_for(cls)              one class's values, both wires, JSON Schema
    observation_codec_for(cls)  observations, with reward, done and the rest where each wire wants them
    jsonable, encode_any_msgpack, decode_any_msgpack   free-form values, such as reset arguments

Holds every rule of how a value is encoded; frames and sessions are in `protocol` and
`runtime`. Takes msgspec Structs, dataclasses, TypedDicts, pydantic
models (if the user imported pydantic) and plain dicts, each nested in any other.
"""

from __future__ import annotations

from openenv_async.codec.arrays import ArrayData
from openenv_async.codec.encoding import decode_any_msgpack, encode_any_msgpack, jsonable
from openenv_async.codec.factory import codec_for
from openenv_async.codec.models import ModelCodec
from openenv_async.codec.observations import Decoded, ObservationCodec, observation_codec_for

__all__ = [
    "ArrayData",
    "Decoded",
    "ModelCodec",
    "ObservationCodec",
    "codec_for",
    "decode_any_msgpack",
    "encode_any_msgpack",
    "jsonable",
    "observation_codec_for",
]
