"""Who hears of a session's results: the contract between `session` and whoever opened it."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Protocol

from openenv_async.runtime.calls import Outcome

if TYPE_CHECKING:
    from openenv_async.runtime.session import Session


class Sink(Protocol):
    """Where a session's results go: one connection, or one HTTP request."""

    def opened(self, session: Session) -> None:
        """The environment is built."""

    def deliver(self, session: Session, rid: int, outcome: Outcome | BaseException) -> Awaitable[None] | None:
        """Request `rid` has ended. Must not raise; may give something to wait for before the next call."""

    def ended(self, session: Session, error: BaseException | None) -> None:
        """The session is over: its environment is closed and its slot is free. Must not raise."""
