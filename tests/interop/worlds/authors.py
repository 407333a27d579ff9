"""What authors of public environments do, each as an app under its own prefix of a third one."""

from __future__ import annotations

import asyncio
import enum
import functools
import threading
from contextlib import asynccontextmanager
from typing import Any, Dict, List, Literal, Optional, Tuple, Union

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from openenv.core.env_server import ConcurrencyConfig, HTTPEnvServer, create_app, create_fastapi_app
from openenv.core.env_server.base_transforms import CompositeTransform, NullTransform
from openenv.core.env_server.interfaces import Environment, Transform
from openenv.core.env_server.types import Action, EnvironmentMetadata, Observation, ServerMode, State
from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator, model_validator


class Say(Action):
    text: str = "hi"


class Said(Observation):
    text: str = ""


class NoSuper(Environment):
    """No constructor of the base, no parameters, a plain dict as state."""

    def __init__(self):
        self.n = 0

    def reset(self):
        self.n = 0
        return Said(text="ready")

    def step(self, action):
        self.n += 1
        return Said(text=action.text, reward=self.n)

    @property
    def state(self):
        return {"n": self.n}


class NoState(NoSuper):
    @property
    def state(self):
        return None


class ModelState(NoSuper):
    class Inner(State):
        deep: Dict[str, Any] = Field(default_factory=dict)
        where: Tuple[int, int] = (1, 2)

    @property
    def state(self):
        return self.Inner(episode_id="e", step_count=self.n, deep={"a": (1, 2)}, free={3})


class TupleReset(NoSuper):
    def reset(self, size: Tuple[int, int] = (2, 2), seed: Optional[int] = None, *, names: List[str] = ()):
        return Said(text=f"{size!r} {seed!r} {names!r}")


class KeywordReset(NoSuper):
    def reset(self, seed=None, episode_id=None, **kwargs):
        return Said(text=f"{seed!r} {episode_id!r} {sorted(kwargs.items())!r}")


class RequiredReset(NoSuper):
    def reset(self, task: str):
        return Said(text=task)


class PlainAction(BaseModel):
    text: str = "hi"


class PlainObservation(BaseModel):
    text: str
    reward: float = 0.0
    done: bool = False
    metadata: Dict[str, Any] = {}


class BareObservation(BaseModel):
    text: str
    reward: float = 0.0
    done: bool = False


class Plain(NoSuper):
    def reset(self):
        return PlainObservation(text="ready")

    def step(self, action):
        if action.text == "bare":
            return BareObservation(text="no metadata")
        return PlainObservation(text=action.text, reward=1, done=True, metadata={"kind": type(action).__name__})


class Redeclared(Observation):
    reward: float = 0.0
    done: bool = False
    board: List[List[int]] = Field(default_factory=lambda: [[0, 1], [1, 0]])
    info: Dict[str, Any] = Field(default_factory=dict, alias="information")

    model_config = ConfigDict(extra="allow", populate_by_name=True)


class Redeclares(NoSuper):
    def reset(self):
        return Redeclared(more="free")

    def step(self, action):
        return Redeclared(reward=2, done=True, information={"a": 1})


class Move(str, enum.Enum):
    UP = "up"
    DOWN = "down"


class Go(BaseModel):
    kind: Literal["go"]
    move: Move


class Wait(BaseModel):
    kind: Literal["wait"]
    turns: int = Field(ge=1)


class Choice(RootModel[Union[Go, Wait]]):
    pass


class Tagged(Action):
    what: Union[Go, Wait] = Field(discriminator="kind")

    @model_validator(mode="after")
    def _short(self):
        if isinstance(self.what, Wait):
            assert self.what.turns < 10, "too long"
        return self


class Chooses(NoSuper):
    def step(self, action):
        return Said(text=repr(getattr(action, "root", None) or getattr(action, "what", None) or action))


class Picky(Action):
    text: str = "hi"

    @field_validator("text")
    @classmethod
    def _picked(cls, value):
        return {"hi": "hello", "type": int("7")}[value] if value != "number" else int(value)


class Asynchronous(Environment[Say, Said, State]):
    """`reset` and `step` are overridden as coroutines; the plain ones must not be called."""

    SUPPORTS_CONCURRENT_SESSIONS = True
    lock = asyncio.Lock()

    def __init__(self):
        super().__init__()
        self._state = State()
        self.built_in = threading.get_ident()

    def reset(self, seed=None, episode_id=None, **kwargs):
        raise AssertionError("not this one")

    async def reset_async(self, seed=None, episode_id=None, mode="x"):
        async with self.lock:
            await asyncio.sleep(0)
        self._state = State(episode_id=episode_id)
        return Said(text=f"{seed!r} {mode!r}")

    def step(self, action, timeout_s=None, **kwargs):
        raise AssertionError("not this one")

    async def step_async(self, action, timeout_s=None, **kwargs):
        async with self.lock:
            await asyncio.sleep(0.001)
        self._state.step_count += 1
        if action.text == "fail":
            raise ConnectionError("no line")
        return Said(text=action.text, reward=1.5)

    @property
    def state(self):
        return self._state


class HalfAsynchronous(NoSuper):
    """Steps in coroutines, and keeps to its thread in everything else."""

    def __init__(self):
        super().__init__()
        self.thread = threading.get_ident()

    def reset(self):
        assert threading.get_ident() == self.thread, "another thread"
        return Said(text="same thread")

    async def step_async(self, action, **kwargs):
        assert threading.get_ident() != self.thread, "the same thread"
        return Said(text="the loop")


class OneThread(NoSuper):
    REQUIRES_SINGLE_THREAD_EXECUTOR = True
    SUPPORTS_CONCURRENT_SESSIONS = True
    threads: set = set()

    def __init__(self):
        super().__init__()
        self.threads.add(threading.get_ident())

    def step(self, action):
        self.threads.add(threading.get_ident())
        return Said(text=f"{len(self.threads)} thread")


class Shouts(Transform):
    def __call__(self, observation):
        observation.text = observation.text.upper()
        return observation


class Rubric:
    def __init__(self):
        self.resets = 0

    def __call__(self, action, observation):
        return len(action.text) + self.resets / 10

    def reset(self):
        self.resets += 1


class Hooked(Environment):
    def __init__(self):
        super().__init__(transform=CompositeTransform([NullTransform(), Shouts()]), rubric=Rubric())

    def reset(self, seed=None, episode_id=None, **kwargs):
        self._reset_rubric()
        return self._apply_transform(Said(text="ready"))

    def step(self, action, timeout_s=None, **kwargs):
        observation = Said(text=action.text)
        observation.reward = self._apply_rubric(action, observation)
        return self._apply_transform(observation)

    @property
    def state(self):
        return State(episode_id="hooked")

    def get_metadata(self):
        return EnvironmentMetadata(
            name="Hooked", description="with hooks", version="2.0", author="somebody", readme_content="# Hooked"
        )


class Split(BaseModel):
    name: str
    type: str = "train"
    size: int = 3


class Tasks(NoSuper):
    def list_splits(self):
        return ["train", "hard", Split(name="own"), {"name": "free", "rows": [1, (2,)]}, 5]

    async def list_tasks(self, split):
        await asyncio.sleep(0)
        return [{"id": f"{split}-{n}", "model": Split(name="x")} for n in range(2)]

    def num_tasks(self, split):
        return 7 if split == "train" else 0

    def get_task(self, split, index):
        return [Split(name="a"), "b", {"c": 1}][index]

    def get_task_range(self, split, start=None, stop=None):
        if split == "none":
            raise NotImplementedError
        return list(range(5))[start:stop]


class Registered(NoSuper):
    """A registry of the class that its instances share."""

    SUPPORTS_CONCURRENT_SESSIONS = True
    count: Dict[str, int] = {}

    def step(self, action):
        self.count[action.text] = self.count.get(action.text, 0) + 1
        return Said(text=str(self.count[action.text]))


class Fails(NoSuper):
    def __init__(self, reason="no licence"):
        raise RuntimeError(reason)


class FailsToClose(NoSuper):
    def close(self):
        raise RuntimeError("stuck")


class OtherState(State):
    score: float = 1.5
    hidden: Optional[str] = None


class FirstLook(Observation):
    """What `reset` gives."""

    board: List[int] = Field(default_factory=list)


class Declared(NoSuper):
    def reset(self):
        return FirstLook(board=[1, 2])

    @property
    def state(self):
        return OtherState(score=2, extra=1)


def make(name="default", *, loud=False):
    return NoSuper()


class Shared(NoSuper):
    SUPPORTS_CONCURRENT_SESSIONS = True


SHARED = Shared()

app = create_app(NoSuper, Say, Said)

app.mount("/nostate", create_app(NoState, Say, Said))
app.mount("/modelstate", create_app(ModelState, Say, Said, env_name="model"))
app.mount("/tuplereset", create_app(TupleReset, Say, Said))
app.mount("/keywordreset", create_app(KeywordReset, Say, Said))
app.mount("/requiredreset", create_app(RequiredReset, Say, Said))
app.mount("/plain", create_app(Plain, PlainAction, PlainObservation))
app.mount("/redeclared", create_app(Redeclares, Say, Redeclared))
app.mount("/union", create_app(Chooses, Choice, Said))
app.mount("/tagged", create_app(Chooses, Tagged, Said))
app.mount("/base", create_app(Chooses, Action, Observation))
app.mount("/picky", create_app(NoSuper, Picky, Said))
app.mount("/noclasses", create_app(NoSuper, None, None))
app.mount("/async", create_app(Asynchronous, Say, Said, max_concurrent_envs=64))
app.mount("/half", create_app(HalfAsynchronous, Say, Said))
app.mount("/onethread", create_app(OneThread, Say, Said, max_concurrent_envs=4))
app.mount("/hooked", create_app(Hooked, Say, Said))
app.mount("/tasks", create_app(Tasks, Say, Said, env_name="Tasks"))
app.mount(
    "/registered", create_app(Registered, Say, Said, concurrency_config=ConcurrencyConfig(max_concurrent_envs=64))
)
app.mount("/fails", create_app(Fails, Say, Said))
app.mount("/failslambda", create_app(lambda: Fails(), Say, Said))
app.mount("/failspartial", create_app(functools.partial(Fails, reason="none"), Say, Said))
app.mount("/failstoclose", create_app(FailsToClose, Say, Said))
app.mount("/declared", create_app(Declared, Say, Said, state_cls=OtherState, reset_observation_cls=FirstLook))
app.mount("/undeclared", create_app(Declared, Say, Said))
app.mount("/lambda", create_app(lambda: NoSuper(), Say, Said, "named"))
app.mount("/partial", create_app(functools.partial(make, "x", loud=True), Say, Said))
app.mount("/function", create_app(make, Say, Said, gradio_builder=lambda *a, **k: None, custom_tab_name="X"))
app.mount("/shared", create_app(lambda: SHARED, Say, Said, max_concurrent_envs=2))
app.mount("/production", create_app(NoSuper, Say, Said, mode="PRODUCTION"))

# Routes of the author's own, before and after ours; routes removed and put in another order.
edited = create_fastapi_app(NoSuper, Say, Said, mode=ServerMode.SIMULATION)
edited.title = "Edited"


@edited.get("/health")
def second_health():
    return {"status": "second"}


@edited.get("/hello")
async def hello(name: str = "you"):
    return {"hello": name}


router = APIRouter(prefix="/extra")


@router.post("/double")
def double(body: Dict[str, int]):
    return {key: 2 * value for key, value in body.items()}


edited.include_router(router)


@edited.middleware("http")
async def counted(request: Request, call_next):
    response = await call_next(request)
    response.headers["x-counted"] = "1"
    return response


for route in list(edited.routes):
    if getattr(route, "path", None) == "/metadata" and "GET" in getattr(route, "methods", ()):
        edited.routes.remove(route)
edited.routes[:] = [route for route in edited.routes if getattr(route, "path", "") != "/schema"]


@edited.get("/metadata")
def own_metadata():
    return {"mine": True}


app.mount("/edited", edited)

# An app of the author's own: handlers, a lifespan, and a server whose routes are added to it.
started = []


@asynccontextmanager
async def own_lifespan(app):
    started.append("own")
    yield


own = FastAPI(lifespan=own_lifespan)


@own.exception_handler(RequestValidationError)
async def on_invalid(request, exc):
    return JSONResponse({"mine": len(exc.errors())}, status_code=400)


@own.exception_handler(ZeroDivisionError)
async def on_zero(request, exc):
    return PlainTextResponse("by zero", status_code=409)


@own.get("/health")
def first_health():
    return {"status": "first"}


class Divides(NoSuper):
    def step(self, action):
        return Said(text=str(1 / int(action.text)))


class OwnServer(HTTPEnvServer):
    def register_routes(self, app, mode=ServerMode.SIMULATION):
        super().register_routes(app, mode=mode)

        @app.get("/own")
        def info():
            return {"max": self.max_concurrent_envs, "active": self.active_sessions, "name": self.env_name}


OwnServer(Divides, Say, Said).register_routes(own)
own.router.lifespan_context = own_lifespan
app.mount("/own", own)

# `/reset /step /state` of the author's own beside production mode.
produced = FastAPI()
HTTPEnvServer(env=NoSuper, action_cls=Say, observation_cls=Said).register_routes(produced, mode="production")


@produced.post("/reset")
def own_reset():
    return {"own": "reset"}


@produced.get("/state")
def own_state():
    return {"own": "state"}


app.mount("/produced", produced)

# Routes that are added when the app starts.
late = FastAPI()


@app.get("/add_late")
def add_late():
    HTTPEnvServer(NoSuper, Say, Said).register_routes(late)
    return {"routes": sorted({route.path for route in late.routes if route.path in ("/reset", "/ws", "/schema")})}


@late.get("/there")
def there():
    return {"there": True}


app.mount("/late", late)


@app.get("/routes")
def routes():
    found = [
        (route.path, sorted(getattr(route, "methods", None) or [])) for route in create_app(NoSuper, Say, Said).routes
    ]
    return sorted(found)


@app.get("/started")
def which_started():
    return started
