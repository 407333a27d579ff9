"""The codec brings in neither numpy nor pydantic, and works where they are not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_and_using_it_imports_neither_numpy_nor_pydantic() -> None:
    out = run(
        "import sys\n"
        "from openenv_async.codec import decode_any_msgpack, encode_any_msgpack, jsonable, observation_codec_for\n"
        "from openenv_async.environment import Observation\n"
        "codec = observation_codec_for(Observation)\n"
        "codec.decode_native(codec.encode_native(Observation(reward=2**70)))\n"
        "codec.decode_ws_json(codec.encode_ws_json(Observation(metadata={'a': 1j})))\n"
        "codec.model.schema(); jsonable({'a': {1}}); decode_any_msgpack(encode_any_msgpack([1j]))\n"
        "print([name for name in ('numpy', 'pydantic', 'pydantic_core', 'asyncio', 'anyio') if name in sys.modules])"
    )
    assert out.strip() == "[]"


@pytest.mark.parametrize(
    ("array", "dtype", "shape", "lists"),
    [
        ("np.arange(6, dtype='<i4').reshape(2, 3)", "<i4", (2, 3), [[0, 1, 2], [3, 4, 5]]),
        ("np.array(1.5)", "<f8", (), 1.5),
        ("np.array([True])", "|b1", (1,), [True]),
        ("np.zeros((2, 0))", "<f8", (2, 0), [[], []]),
    ],
)
def test_without_numpy_an_array_is_its_parts(array: str, dtype: str, shape: tuple[int, ...], lists: object) -> None:
    written = run(
        f"import numpy as np\nfrom openenv_async.codec import encode_any_msgpack\n"
        f"print(encode_any_msgpack({{'a': {array}}}).hex())"
    ).strip()
    out = run(
        "import sys\n"
        "sys.modules['numpy'] = None\n"
        "from openenv_async.codec import ArrayData, decode_any_msgpack, encode_any_msgpack, jsonable\n"
        f"data = bytes.fromhex('{written}')\n"
        "a = decode_any_msgpack(data)['a']\n"
        "assert isinstance(a, ArrayData), a\n"
        "assert encode_any_msgpack({'a': a}) == data\n"
        "print([a.dtype, a.shape, jsonable(a)])"
    )
    assert out.strip() == str([dtype, shape, lists])
