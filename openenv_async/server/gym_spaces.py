"""Types for Gymnasium's spaces, and checks of values against them.

Holds the table from space to annotation, the check of an action, whose errors say
what would be legal, and the conversion of what an environment returns to plain
values. Used by `server.gym` only; needs gymnasium and numpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
from gymnasium import spaces

from openenv_async.errors import InvalidPayload

# Types made at run time, which a type checker cannot know.
_ARRAY: Any = npt.NDArray
_TUPLE: Any = tuple
_LIST: Any = list
_DICT: Any = TypedDict


def annotation(space: spaces.Space[Any], name: str) -> Any:
    """Return the type of a space's values on the wire.

    Args:
        space: a space; one that is not Gymnasium's own becomes `Any`.
        name: for the classes that have to be made, e.g. `CartPoleAction`.
    """
    match space:
        case spaces.Discrete():
            return int
        case spaces.Box() | spaces.MultiDiscrete() | spaces.MultiBinary():
            return _ARRAY[np.dtype(space.dtype).type]
        case spaces.Text():
            return str
        case spaces.Dict():
            return _DICT(name, {key: annotation(inner, f"{name}_{key}") for key, inner in space.spaces.items()})
        case spaces.Tuple():
            return _TUPLE[tuple(annotation(inner, f"{name}_{at}") for at, inner in enumerate(space.spaces))]
        case spaces.Sequence() if not space.stack:
            return _LIST[annotation(space.feature_space, f"{name}_item")]
        case spaces.OneOf():
            return tuple[int, Any]
    return Any


def legal(space: spaces.Space[Any], value: Any, path: str = "action") -> Any:
    """Return the value as the environment expects it.

    Args:
        space: the environment's action space.
        value: as it came over the wire.
        path: names the value in errors.

    Raises:
        InvalidPayload: it is not in the space; `path` names the part that is not.
    """
    match space:
        case spaces.Box() | spaces.MultiDiscrete() | spaces.MultiBinary():
            made: Any = _array(space, value, path)
        case spaces.Dict():
            given = _mapping(space, value, path)
            made = {key: legal(inner, given[key], f"{path}.{key}") for key, inner in space.spaces.items()}
        case spaces.Tuple():
            items = _items(value, path, len(space.spaces))
            made = tuple(
                legal(inner, item, f"{path}.{at}")
                for at, (inner, item) in enumerate(zip(space.spaces, items, strict=True))
            )
        case spaces.OneOf():
            which, item = _items(value, path, 2)
            if not isinstance(which, int) or not 0 <= which < len(space.spaces):
                raise _illegal(space, value, path, f"the first part chooses one of {len(space.spaces)} spaces")
            made = (which, legal(space.spaces[which], item, f"{path}.1"))
        case spaces.Sequence() if not space.stack:
            made = tuple(
                legal(space.feature_space, item, f"{path}.{at}") for at, item in enumerate(_items(value, path))
            )
        case _:
            made = value
    if not space.contains(made):
        raise _illegal(space, value, path, _range(space, made))
    return made


def plain(value: Any) -> Any:
    """Return the value without Gymnasium's and numpy's containers; arrays stay arrays, unknown objects become text."""
    kind = type(value)
    if kind in (int, float, str, bool, bytes, np.ndarray) or value is None:
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {key: plain(item) for key, item in value._asdict().items()}  # a graph
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, (int, float, str, bytes, np.ndarray)):
        return value
    return repr(value)


def number(reward: Any) -> bool | int | float:
    """Return a reward as a Python number; environments return numpy's numbers, and arrays of one."""
    plain_number: bool | int | float = reward if type(reward) in (int, float) else np.asarray(reward).item()
    return plain_number


def _array(space: spaces.Space[Any], value: Any, path: str) -> npt.NDArray[Any]:
    try:
        given = np.asarray(value)
        made = given.astype(space.dtype, casting="same_kind" if given.dtype.kind == "f" else "unsafe")
    except (TypeError, ValueError) as error:
        raise _illegal(space, value, path, f"it cannot become an array of {space.dtype}: {error}") from None
    if made.shape != space.shape:
        raise _illegal(space, value, path, f"its shape is {made.shape}, not {space.shape}")
    return made


def _mapping(space: spaces.Dict, value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or value.keys() != space.spaces.keys():
        raise _illegal(space, value, path, f"it must have exactly the keys {', '.join(space.spaces)}")
    return value


def _items(value: Any, path: str, length: int | None = None) -> list[Any]:
    if not isinstance(value, (list, tuple)) or (length is not None and len(value) != length):
        wanted = "a list" if length is None else f"a list of {length}"
        raise InvalidPayload(f"{path}: must be {wanted}, not {_short(value)}", path=path)
    return list(value)


def _range(space: spaces.Space[Any], value: Any) -> str:
    match space:
        case spaces.Discrete():
            return f"it must be a whole number from {space.start} to {space.start + space.n - 1}"
        case spaces.Box():
            outside = ~((value >= space.low) & (value <= space.high))  # a NaN is outside too
            at = tuple(int(i) for i in np.argwhere(outside)[0]) if outside.any() else ()
            low, high = (space.low[at], space.high[at]) if outside.any() else (space.low.min(), space.high.max())
            return f"at {list(at)} it must be from {low} to {high}, not {value[at]}" if at else f"from {low} to {high}"
        case spaces.MultiDiscrete():
            return f"each number must be less than that of {space.nvec.tolist()}"
        case spaces.MultiBinary():
            return "each number must be 0 or 1"
        case spaces.Text():
            return f"it must have {space.min_length} to {space.max_length} of the characters {space.characters[:80]}"
    return "the environment says that it is not in its space"


def _illegal(space: spaces.Space[Any], value: Any, path: str, why: str) -> InvalidPayload:
    kind = type(space).__name__
    return InvalidPayload(f"{path}: {_short(value)} is not legal in this {kind} space: {why}", path=path)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
