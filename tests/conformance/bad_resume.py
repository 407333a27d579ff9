"""This runtime's server with a resumption that lies: `python bad_resume.py SIN`."""

from __future__ import annotations

import asyncio
import sys

import own_server

from openenv_async.protocol.frames import Resume, Resumed
from openenv_async.runtime.calls import Call
from openenv_async.runtime.session import Session
from openenv_async.server import ws
from openenv_async.server.native import AttachedSession, NativeConnection


class Twice(NativeConnection):
    """Plays a step again that is asked for again."""

    def _request(self, sid: int, rid: int, call: Call) -> None:
        seat = self._by_sid.get(sid)
        if seat is not None and rid == seat.session.newest:
            seat.session.submit(rid, call)
        else:
            super()._request(sid, rid, call)


class Fresh(NativeConnection):
    """Resumes in a fresh environment."""

    def _resume(self, frame: Resume) -> None:
        session = self._server.registry.open(self, wait_s=1.0)
        self._sessions.add(AttachedSession(frame.sid, session, opened=True))
        self._put(Resumed(frame.sid))

    def opened(self, session: Session) -> None:
        if not self._by_session[session].opened:
            super().opened(session)


SINS = {"twice": Twice, "fresh": Fresh}


if __name__ == "__main__":
    vars(ws)["NativeConnection"] = SINS[sys.argv[1]]
    asyncio.run(own_server.main("counting", "8"))
