"""How an environment gets into a session's process: with the fork, or by import in an interpreter of its own.

A fork server that is a fork of the server has the blueprint as it is, so factories may be lambdas, closures
and classes of a notebook. An interpreter of its own knows nothing: it gets names to
import, and what the server's imports needed (paths, finders, the main module).
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import logging
import pickle
import socket
import sys
import threading
from dataclasses import dataclass
from multiprocessing import spawn
from typing import Any

from openenv_async.codec import codec_for, observation_codec_for
from openenv_async.errors import FactoryError
from openenv_async.runtime.blueprint import Blueprint
from openenv_async.runtime.processes.ipc import packets_of
from openenv_async.runtime.processes.options import ProcessOptions

_HARMLESS = (
    "asyncio_",
    "openenv",
    "AnyIO worker thread",
    "bounded end",
    "supervisor watch",
    "pytest_timeout",
    "pydevd",
)
"""Names of threads whose absence after a fork does no harm: idle workers, and our own."""


@dataclass(frozen=True)
class BlueprintTransfer:
    """What a process needs to build environments."""

    options: ProcessOptions
    log_level: int
    blueprint: Blueprint | None = None
    """With the fork."""
    pickled: bytes = b""
    """By import; see `Import`."""

    def load(self) -> Blueprint:
        """Return the blueprint as it is used inside a process. Imports the author's code where that is to be done."""
        blueprint = self.blueprint or _load(self.pickled)
        return dataclasses.replace(blueprint, execution=None, launcher=None)

    def send(self, control: socket.socket, kind: int | None) -> None:
        """Hand it to an interpreter of its own, over a blocking socket."""
        message = b"\0" + pickle.dumps((self.options, self.log_level, self.pickled, kind))
        for piece in packets_of(control).cut(message):
            control.sendall(piece)

    @classmethod
    def receive(cls, control: socket.socket) -> tuple[BlueprintTransfer, int | None]:
        """Take what `send` gave, and the type of the sockets to use."""
        packets = packets_of(control)
        while True:
            data = control.recv(2 * 1024 * 1024)
            if not data:
                raise SystemExit("the server ended before it said what to serve")
            for message in packets.feed(memoryview(data)):
                options, log_level, pickled, kind = pickle.loads(message[1:])
                return cls(options, log_level, pickled=pickled), kind


def transfer_for(blueprint: Blueprint, options: ProcessOptions) -> tuple[BlueprintTransfer, bool]:
    """Decide how environments get into processes; returns the transfer and whether the server itself is to be forked.

    Raises:
        FactoryError: they are to be imported (`preload=False`) and cannot be.
    """
    level = logging.getLogger().getEffectiveLevel()
    forked = BlueprintTransfer(options, level, blueprint=blueprint)
    if options.preload is True:
        return forked, True
    threads = [t.name for t in threading.enumerate() if t is not threading.current_thread() and _matters(t)]
    if options.preload is None and not threads and sys.platform != "darwin":
        return forked, True
    try:
        pickled = _pickled(blueprint)
    except Exception as error:  # pickle raises whatever an object's own methods raise
        if options.preload is False:
            raise FactoryError(
                f"the factory '{blueprint.factory_name}' cannot be imported by its name in a process of its own, "
                f"which preload=False needs ({error}): use a class or a function at the top of a module, "
                "or drop preload=False",
                factory_name=blueprint.factory_name,
            ) from error
        if threads:
            logging.getLogger("openenv_async").warning(
                "processes are forked while the threads %s run; code that waits for them in a process waits for ever. "
                "Serve a class or function that can be imported by its name, and each process imports it for itself",
                ", ".join(threads),
            )
        return forked, True
    return BlueprintTransfer(options, level, pickled=pickled), False


def _matters(thread: threading.Thread) -> bool:
    return thread is not threading.main_thread() and not thread.name.startswith(_HARMLESS)


_PLAIN = ("name", "debug", "adapter", "threads", "keeps_thread")
"""Fields of a blueprint that are handed over as they are."""


@dataclass(frozen=True)
class _Import:
    """What an interpreter of its own needs to find the author's code."""

    path: list[str]
    finders: list[Any]
    files: dict[str, str]
    main: dict[str, Any]
    classes: bytes


def _pickled(blueprint: Blueprint) -> bytes:
    if type(blueprint) is not Blueprint:
        raise pickle.PicklingError(f"{type(blueprint).__name__} has codecs of its own")
    what = (blueprint.factory, blueprint.action.cls, blueprint.observation.model.cls, blueprint.state.cls)
    classes = pickle.dumps((*what, {name: getattr(blueprint, name) for name in _PLAIN}))
    names = {getattr(item, "__module__", "") for item in (*what, blueprint.env_cls)}
    files = {}
    for name in names:
        origin = getattr(getattr(sys.modules.get(name), "__spec__", None), "origin", None)
        if origin and "." not in name:
            files[name] = origin
    # `openenv serve` makes folders importable with finders of its own.
    finders = [f for f in sys.meta_path if type(f).__module__.startswith("openenv_async.")]
    main = {}
    if "__main__" in names:
        data = spawn.get_preparation_data("openenv")
        main = {key: value for key, value in data.items() if key.startswith("init_main")}
        if not main:
            raise pickle.PicklingError("it is defined in an interactive session")
    return pickle.dumps(_Import(list(sys.path), finders, files, main, classes))


def _load(pickled: bytes) -> Blueprint:
    transfer: _Import = pickle.loads(pickled)
    sys.path[:] = transfer.path
    sys.meta_path[:0] = transfer.finders
    for finder in transfer.finders:
        # A folder's package may have to be imported without its own `__init__.py`; the finder knows.
        getattr(finder, "load_package", lambda: None)()
    for name, file in transfer.files.items():
        _ensure(name, file)
    if transfer.main:
        spawn.prepare(transfer.main)
    factory, action, observation, state, plain = pickle.loads(transfer.classes)
    return Blueprint(
        factory=factory,
        action=codec_for(action),
        observation=observation_codec_for(observation),
        state=codec_for(state),
        execution=None,
        **plain,
    )


def _ensure(name: str, file: str) -> None:
    """Make a top-level module importable that was loaded from a file under a name of its own."""
    with contextlib.suppress(ImportError, ValueError):
        if name in sys.modules or importlib.util.find_spec(name) is not None:
            return
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
