"""An environment's own rendering for the web page: HTML of an observation, and actions to offer as buttons.

For any environment that has `render_web` or `web_actions`, whatever its base class. `call_adapter` calls this where
the environment lives.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Iterable
from typing import Any

from openenv_async.errors import EnvironmentFailed, InvalidPayload

_METHODS = ("render_web", "web_actions")

Answers = tuple[Any, Any]
"""What `render_web` and `web_actions` returned."""


def may_draw(env_cls: type | None, bases: Iterable[type]) -> bool:
    """Return whether environments of this class may render something.

    Args:
        env_cls: None: not known, so they may.
        bases: classes whose own methods render nothing.
    """
    if env_cls is None:
        return True
    inherited = [getattr(base, name, None) for base in bases for name in _METHODS]
    return any(getattr(env_cls, name, None) not in (None, *inherited) for name in _METHODS)


def draw(env: Any, observation: Any) -> Answers | Awaitable[Answers]:
    """Call both methods; returns an awaitable where one is `async def`. Runs the author's code.

    Args:
        env: the environment.
        observation: the fields, `reward` and `done`.

    Raises:
        InvalidPayload: the observation is not a map.
    """
    if not isinstance(observation, dict):
        raise InvalidPayload("a web message needs `data`: an observation", path="data")
    html, actions = (getattr(env, name, None) for name in _METHODS)
    over = observation.get("done") is True
    values = (
        html(observation) if callable(html) else None,
        actions(observation) if callable(actions) and not over else [],
    )
    return _settled(*values) if any(inspect.isawaitable(value) for value in values) else values


async def _settled(html: Any, actions: Any) -> Answers:
    return (
        await html if inspect.isawaitable(html) else html,
        await actions if inspect.isawaitable(actions) else actions,
    )


def drawn(answers: Answers) -> dict[str, Any]:
    """Return the reply's `data` for what the methods returned.

    Raises:
        EnvironmentFailed: they returned something else than they should.
    """
    html, actions = answers
    if html is not None and not isinstance(html, str):
        raise _wrong(f"render_web() returned {type(html).__name__}; it must return HTML as text, or None")
    offered = []
    for pair in actions or []:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise _wrong("web_actions() must return pairs of a label and an action")
        offered.append({"label": str(pair[0]), "action": pair[1]})
    return {"html": html, "actions": offered}


def _wrong(text: str) -> EnvironmentFailed:
    return EnvironmentFailed(text, exception_type="TypeError")
