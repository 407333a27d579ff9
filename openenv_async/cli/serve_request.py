"""What one `openenv serve` was asked for, and which options do not go together.

`cli.serve` fills it in and acts on it; `cli.reload` hands it on to the process that it restarts.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from openenv_async.cli.errors import BadInput


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeRequest:
    """The options of one `openenv serve`, as given; `None` where the user gave none."""

    target: str
    host: str | None
    port: int | None
    reload: bool
    max_sessions: int | None
    execution: str | None
    unix: Path | None
    token: str | None = field(repr=False)
    allow_origin: tuple[str, ...]
    certfile: Path | None
    keyfile: Path | None
    log_level: str | None
    debug: bool
    step_timeout: float | None
    grace: float | None
    compat: str
    supervised: str | None
    sessions_per_process: int | None
    spare_processes: int | None
    log_format: str = "text"
    metrics: bool | None = None
    otel: bool | None = None
    record: Path | None
    record_redact: tuple[str, ...]
    record_file_mb: float | None
    record_total_mb: float | None
    interface: bool | None

    @property
    def for_create_app(self) -> list[str]:
        """The options given that only an app of `create_app` heeds."""
        given = {
            "--max-sessions": self.max_sessions,
            "--execution": self.execution,
            "--step-timeout": self.step_timeout,
            "--token": self.token,
            "--allow-origin": self.allow_origin,
            "--sessions-per-process": self.sessions_per_process,
            "--spare-processes": self.spare_processes is not None,
            "--no-metrics": self.metrics is False,
            "--otel": self.otel,
            "--record": self.record,
            "--interface": self.interface,
        }
        return [name for name, value in given.items() if value]

    def check(self) -> None:
        """Refuse options that contradict each other.

        Raises:
            BadInput: they do; the sentence says which.
        """
        if self.unix is not None and (self.host is not None or self.port is not None):
            raise BadInput("--unix goes without --host and --port: it is an address of its own")
        if self.token is not None and not self.token.strip():
            raise BadInput("--token is empty: give the secret that clients must present, or leave the option out")
        if self.keyfile is not None and self.certfile is None:
            raise BadInput("--keyfile needs --certfile: the certificate that the key belongs to")
        if self.unix is not None and self.certfile is not None:
            raise BadInput("--certfile is for --host and --port: what goes through a unix socket stays on this machine")
        extra = {
            "--record-redact": self.record_redact,
            "--record-file-mb": self.record_file_mb,
            "--record-total-mb": self.record_total_mb,
        }
        for name, value in extra.items():
            if value and self.record is None and not os.environ.get("OPENENV_RECORD"):
                raise BadInput(f"{name} needs --record: the folder that sessions are recorded in")
        if self.reload and os.name != "posix":
            raise BadInput("--reload needs a POSIX system: run without it and restart by hand")
