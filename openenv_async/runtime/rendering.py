"""What an environment draws for the web page: HTML of an observation, and actions to offer as buttons.

Asks any environment that has `render_web` or `web_actions`, whoever's base class
it has; `call_adapter` calls this where the environment lives.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Iterable
from typing import Any

from openenv_async.errors import EnvironmentFailed, InvalidPayload

_METHODS = ("render_web", "web_actions")

Answers = tuple[Any, Any]
"""What `render_web` and `web_actions` gave."""


def may_draw(env_cls: type | None, bases: Iterable[type]) -> bool:
    """Say whether environments of this class might draw something.

    Args:
        env_cls: None: not known, so they might.
        bases: classes whose own methods draw nothing.
    """
    if env_cls is None:
        return True
    inherited = [getattr(base, name, None) for base in bases for name in _METHODS]
    return any(getattr(env_cls, name, None) not in (None, *inherited) for name in _METHODS)


def draw(env: Any, observation: Any) -> Answers | Awaitable[Answers]:
    """Ask for both; gives an awaitable where one of the methods is `async def`. Runs the author's code.

    Args:
        env: the environment.
        observation: the fields, `reward` and `done`.

    Raises:
        InvalidPayload: the observation is no map.
    """
    if not isinstance(observation, dict):
        raise InvalidPayload("a web message needs `data`: an observation", path="data")
    html, actions = (getattr(env, name, None) for name in _METHODS)
    over = observation.get("done") is True
    given = (
        html(observation) if callable(html) else None,
        actions(observation) if callable(actions) and not over else [],
    )
    return _settled(*given) if any(inspect.isawaitable(value) for value in given) else given


async def _settled(html: Any, actions: Any) -> Answers:
    return (
        await html if inspect.isawaitable(html) else html,
        await actions if inspect.isawaitable(actions) else actions,
    )


def drawn(answers: Answers) -> dict[str, Any]:
    """Give the reply's `data` of what the methods gave.

    Raises:
        EnvironmentFailed: they gave something else than they should.
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
