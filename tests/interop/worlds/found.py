"""What was found in public environments after the rest: each in an app of its own under a prefix."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Dict, List, Optional, Set, Tuple
from uuid import UUID

from fastapi import FastAPI
from openenv.core.env_server import Action, Environment, HTTPEnvServer, Observation, State, create_app
from pydantic import Field, computed_field


class Count(Environment):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self):
        super().__init__()
        self.n = 0

    def reset(self, **kwargs):
        self.n = 0
        return Observation(metadata={"given": kwargs})

    def step(self, action):
        self.n += 1
        return Observation(reward=self.n, metadata={"got": action.model_dump()})

    @property
    def state(self):
        return State(step_count=self.n, own=[1, 2.5])


@dataclass(kw_only=True)
class DataAction(Action):
    tool_name: str = ""
    parameters: Dict[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True)
class DataObservation(Observation):
    site: Optional[str] = None


@dataclass(kw_only=True)
class DataState(State):
    done: bool = False


class LooseAction(Action):
    model_config = {"extra": "allow"}
    kind: str = Field(description="what to do")


class LooseObservation(Observation):
    model_config = {"extra": "allow"}
    seen: Dict[str, Any] = Field(default_factory=dict)


class Loose(Count):
    def step(self, action, timeout_s: Optional[float] = None, **kwargs):
        return LooseObservation(seen=action.model_dump(), limit=timeout_s, more=kwargs)


class RichAction(Action):
    at: Tuple[int, int] = (0, 0)
    flags: Set[str] = set()
    when: Optional[datetime] = None


class RichObservation(Observation):
    grid: List[List[float]] = []
    big: int = 2**60
    nothing: float = float("nan")
    when: datetime = datetime(2020, 1, 1)
    name: UUID = UUID(int=1)
    ones: Set[int] = {1}
    raw: bytes = b"ab"

    @computed_field
    @property
    def area(self) -> int:
        return len(self.grid)


class Rich(Count):
    def step(self, action):
        self.n += 1
        return RichObservation(grid=[list(action.at)], reward=[True, float("inf"), 2][self.n % 3], done=self.n > 2)


class Tuples(Count):
    def step(self, action) -> Tuple[Observation, float, bool, Dict[str, Any]]:
        return Observation(), 1.0, False, {}


def first_come():
    """The author's own stateful routes stand before OpenEnv's; those of an app are replaced in its router."""
    app = FastAPI()
    env = Count()

    @app.post("/reset")
    def reset():
        return {"mine": env.reset().model_dump()}

    HTTPEnvServer(Count, Action, Observation, max_concurrent_envs=2).register_routes(app)
    return app


def replaced():
    app = create_app(Count, Action, Observation)
    kept = [route for route in app.router.routes if getattr(route, "path", None) not in ("/reset", "/state")]
    app.router.routes = kept

    @app.get("/state")
    def state():
        return Count().state

    @app.get("/names")
    def names():
        return sorted({route.name for route in app.routes if route.path in ("/ws", "/mcp", "/state")})

    return app


app = create_app(Count, Action, Observation, max_concurrent_envs=4)
app.mount("/data", create_app(Count, DataAction, DataObservation, state_cls=DataState))
app.mount("/loose", create_app(Loose, LooseAction, LooseObservation))
app.mount("/rich", create_app(Rich, RichAction, RichObservation))
app.mount("/tuples", create_app(Tuples, Action, Observation))
app.mount("/first", first_come())
app.mount("/replaced", replaced())
