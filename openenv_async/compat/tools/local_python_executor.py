"""`openenv.core.tools.local_python_executor`: runs Python code in the interpreter of smolagents."""

from __future__ import annotations

import importlib
import json
import logging
import traceback
from typing import Any

from openenv_async.compat.server.types import CodeExecResult

logger = logging.getLogger("openenv_async.compat")

LocalPythonExecutor: Any = importlib.import_module("smolagents").LocalPythonExecutor

__all__ = ["CodeExecResult", "LocalPythonExecutor", "PyExecutor"]


class PyExecutor:
    """Runs pieces of code in turn; variables stay. Not a sandbox: see the documentation of smolagents.

    Args:
        additional_imports: modules that the code may import besides smolagents' own list.
    """

    def __init__(self, additional_imports: list[str] | None = None) -> None:
        self._executor = LocalPythonExecutor(additional_authorized_imports=additional_imports or [])
        try:
            self._executor.send_tools({"format_exc": traceback.format_exc, "safe_json_dumps": _dumped})
        except Exception as exc:  # a release of smolagents that does not accept functions
            logger.debug("the executor takes no further functions: %s", exc)

    def run(self, code: str) -> CodeExecResult:
        """Run a piece of code; return its output with its last value, and its errors. Raises nothing."""
        try:
            return _result(self._executor(code))
        except Exception:
            logger.exception("code of an environment failed")
            return CodeExecResult(stdout="", stderr=traceback.format_exc(), exit_code=1)


def _result(outcome: Any) -> CodeExecResult:
    logs, value = getattr(outcome, "logs", None), getattr(outcome, "output", None)
    said = [str(logs)] if logs else []
    if value is not None:
        said.append(_text(value))
    errors = [str(error) for name in ("error", "exception") if (error := getattr(outcome, name, None))]
    return CodeExecResult(stdout="\n".join(said), stderr="\n".join(errors), exit_code=_exit_code(outcome, bool(errors)))


def _text(value: Any) -> str:
    try:
        return json.dumps(value)
    except Exception:  # whatever the code's own objects raise
        return repr(value)


def _exit_code(outcome: Any, failed: bool) -> int:
    if hasattr(outcome, "exit_code"):
        return int(outcome.exit_code or 0)
    if hasattr(outcome, "success"):
        return 0 if outcome.success else 1
    return int(failed)


def _dumped(value: Any) -> str:
    return json.dumps(value, default=repr)
