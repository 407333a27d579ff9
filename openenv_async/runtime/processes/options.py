"""How environments run in processes: `create_app(..., processes=ProcessOptions(...))`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessOptions:
    """Options of `execution = "process"`; limits that an environment's class declares outweigh those here.

    Raises:
        ValueError: a number below what makes sense.
    """

    sessions_per_process: int = 1
    """Sessions that share a process, each with an environment of its own. More of them take less memory per
    session; when their process ends, all of them end. One: the environment has the process's main thread."""

    spare_processes: int = 2
    """Processes kept ready, so that a session begins in milliseconds. There are never more processes than
    the server has room for sessions."""

    preload: bool | None = None
    """Whether processes are forked with the author's code already imported. True: they are, whatever it is
    made of. False: each process imports it for itself, which takes an import for every process (before a
    session needs it, as long as there are spare ones) and a factory that can be imported by its name; for
    libraries that start threads when they are imported, or that do not survive a fork. None: False where
    such threads run or on macOS and the factory can be imported, else True."""

    memory_limit_mb: int | None = None
    """MiB an environment may allocate beyond what its process was forked with; above it, `MemoryError`."""

    cpu_limit_s: int | None = None
    """Seconds of processor time an environment may use in its life; above it, its process is killed."""

    open_files_limit: int | None = None
    """Descriptors an environment's process may have open at once."""

    def __post_init__(self) -> None:
        """Refuse what no process could run with."""
        least = {"sessions_per_process": 1, "spare_processes": 0, "open_files_limit": 16}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name == "preload" or value is None:
                continue
            bound = least.get(field.name, 1)
            if value < bound:
                raise ValueError(f"ProcessOptions.{field.name} must be {bound} or more, not {value!r}")
