r"""Encodes any value: first with `hooks`, then with `slow_encoder`, else raises an error that names the field.

Text with a lone surrogate is kept: the native wire has an extension for it, JSON writes the escape (`\ud800`),
which Python's own reader takes.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from openenv_async.codec import decode_errors, hooks, pydantic_interop, slow_encoder
from openenv_async.codec.safe_text import safe_text
from openenv_async.errors import UnencodableValue

Buffer = bytes | bytearray | memoryview | msgspec.Raw

_to_msgpack = hooks.NATIVE.encode
_to_json = hooks.JSON.encode


def encode_any_msgpack(value: Any, root: str = "") -> bytes:
    """Encode any value for the native wire.

    Raises:
        UnencodableValue: a part of it cannot be encoded; the error names it.
    """
    try:
        return _to_msgpack(value)
    except BaseException:
        # BaseException: an author's serializer that raises SystemExit must not end the server.
        return encode_slowly(value, root, native=True)


def encode_any_json(value: Any, root: str = "") -> bytes:
    """Encode any value for the JSON wire; NaN and infinities become null, bytes base64.

    Raises:
        UnencodableValue: a part of it cannot be encoded; the error names it.
    """
    try:
        return _to_json(value)
    except BaseException:
        return encode_slowly(value, root, native=False)


def encode_dumped_json(dumped: Any, root: str = "") -> bytes:
    """Encode what pydantic dumped, as OpenEnv's server would.

    Where pydantic itself fails: bytes that are not UTF-8 become base64, lone surrogates escapes.

    Raises:
        UnencodableValue: a part of it cannot be encoded; the error names it.
    """
    try:
        return pydantic_interop.json_bytes(dumped, hooks.json_hook)
    except BaseException:
        return encode_slowly(dumped, root, native=False, text_bytes=True)


def jsonable(value: Any, *, root: str = "") -> Any:
    """Copy any value into dicts, lists, text, numbers and None, as the JSON wire would write it.

    Raises:
        UnencodableValue: a part of it cannot be encoded; the error names it.
    """
    try:
        return slow_encoder.flatten(value, hooks.json_hook, native=False, root=root)
    except slow_encoder.Unwalkable as exc:
        raise UnencodableValue(str(exc), path=exc.path) from exc


def decode_any_msgpack(data: Buffer) -> Any:
    """Decode what `encode_any_msgpack` wrote; arrays are numpy's where it can be imported.

    Raises:
        InvalidPayload: the bytes are not msgpack, or nested too deep, or an extension is malformed.
    """
    try:
        return hooks.UNTYPED.decode(data)
    except BaseException as exc:
        raise decode_errors.invalid(exc) from exc


def decode_any_json(data: Buffer | str) -> Any:
    """Decode JSON as Python's reader would: NaN, Infinity and lone surrogates included, which peers do send.

    Raises:
        InvalidPayload: the text is not JSON, or nested too deep.
    """
    try:
        return hooks.UNTYPED_JSON.decode(data)
    except BaseException as exc:
        if isinstance(exc, msgspec.DecodeError):
            lenient = read_leniently(data)
            if lenient is not None:
                return lenient
        raise decode_errors.invalid(exc) from exc


def read_leniently(data: Buffer | str) -> Any:
    """Read JSON that only Python's reader takes; None when it does not either."""
    text = data if isinstance(data, str) else bytes(memoryview(data))
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def encode_slowly(value: Any, root: str, *, native: bool, text_bytes: bool = False) -> bytes:
    """Encode a value that an encoder has refused.

    Raises:
        UnencodableValue: a part of it cannot be encoded; the error names it.
    """
    hook = hooks.native_hook if native else hooks.json_hook
    try:
        plain = slow_encoder.flatten(value, hook, native=native, text_bytes=text_bytes, root=root)
        if native:
            return msgspec.msgpack.encode(plain, enc_hook=slow_encoder.unkey)
        try:
            return msgspec.json.encode(plain)
        except UnicodeEncodeError:
            return json.dumps(plain, separators=(",", ":")).encode()
    except slow_encoder.Unwalkable as exc:
        raise UnencodableValue(str(exc), path=exc.path) from exc
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise UnencodableValue(f"{root or 'value'}: {safe_text(exc)}", path=root) from exc
