"""What an author's class says of its calls: the arguments of `reset` and `step`, and how long they may take."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from openenv_async.errors import FactoryError, InvalidPayload


class Accepts(NamedTuple):
    """The keyword arguments that a method takes."""

    names: frozenset[str]
    anything: bool


@functools.lru_cache(maxsize=1024)
def accepts(function: Callable[..., Any]) -> Accepts:
    """Inspect a plain function (a method's `__func__`), once per function."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a builtin without a signature: let it judge for itself
        return Accepts(frozenset(), True)
    keyword = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = frozenset(p.name for p in parameters if p.kind in keyword)
    return Accepts(names, any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters))


def method_accepts(method: Callable[..., Any]) -> Accepts:
    """Inspect a bound method or any callable."""
    return accepts(getattr(method, "__func__", method))


def class_deadline(env: object) -> float | None:
    """Give the seconds that an environment's class allows a reset or step; None: it does not say.

    Raises:
        FactoryError: `step_timeout_s` is no number above 0.
    """
    value = getattr(env, "step_timeout_s", None)
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0):
        return value
    shown = repr(value) if type(value) in (bool, int, float, str) else type(value).__name__
    # NaN too: among the timers of the loop it would stop the whole server.
    raise FactoryError(
        f"{type(env).__name__}.step_timeout_s must be a number of seconds above 0, or None, not {shown:.40}"
    )


def fit_reset(method: Callable[..., Any], arguments: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Give the arguments that `reset` takes, and a warning for each standard one that it ignores.

    Raises:
        InvalidPayload: an argument of the caller's own that `reset` does not take, or a
            seed or episode_id of the wrong type.
    """
    _check_standard(arguments)
    taken = method_accepts(method)
    if taken.anything:
        return {key: value for key, value in arguments.items() if value is not None or key not in _STANDARD}, ()
    fitted: dict[str, Any] = {}
    warnings: list[str] = []
    for key, value in arguments.items():
        if key in taken.names and key != "self":
            fitted[key] = value
        elif key not in _STANDARD:
            known = ", ".join(sorted(taken.names - {"self"})) or "none"
            problem = {"type": "unexpected_argument", "loc": [key], "msg": f"reset() takes no argument {key!r}"}
            text = f"reset() takes no argument {key!r}; it takes: {known}"
            raise InvalidPayload(text, path=key, errors=[problem])
        elif value is not None:
            warnings.append(f"the environment ignores {key}: its reset() takes no such argument")
    return fitted, tuple(warnings)


_STANDARD = ("seed", "episode_id")


def _check_standard(arguments: dict[str, Any]) -> None:
    seed, episode_id = arguments.get("seed"), arguments.get("episode_id")
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool) or seed < 0):
        raise _wrong("seed", "an integer of 0 or more", seed)
    if episode_id is not None and (not isinstance(episode_id, str) or len(episode_id) > 255):
        raise _wrong("episode_id", "text of 255 characters at most", episode_id)


def _wrong(name: str, wanted: str, got: object) -> InvalidPayload:
    text = f"{name} must be {wanted}, got {type(got).__name__}"
    return InvalidPayload(text, path=name, errors=[{"type": "value_error", "loc": [name], "msg": text}])
