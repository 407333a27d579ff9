"""Drives a running server as a hostile world would, and says what held and what broke.

A rank between `validation`, whose players and generated actions it uses, and `cli`.
`validation` asks whether an environment is as it should be; this package asks
whether a server keeps its promises when clients, networks and other people do not.
"""

from __future__ import annotations

from openenv_async.checking.run import Options, check_server
from openenv_async.checking.verdicts import Finding, Latency, Report, Verdict

__all__ = ["Finding", "Latency", "Options", "Report", "Verdict", "check_server"]
