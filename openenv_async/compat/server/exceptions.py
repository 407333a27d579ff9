"""`openenv.core.env_server.exceptions`: errors of setting up a server and of opening a session."""

from __future__ import annotations


class OpenEnvError(Exception):
    """Base of the errors that OpenEnv's server raises."""


class ConcurrencyConfigurationError(OpenEnvError):
    """Several sessions were requested, and the environment's class does not declare support for them."""

    def __init__(self, environment_name: str, max_concurrent_envs: int, message: str | None = None) -> None:
        self.environment_name = environment_name
        self.max_concurrent_envs = max_concurrent_envs
        super().__init__(
            message
            if message is not None
            else f"Environment '{environment_name}' is not marked as SUPPORTS_CONCURRENT_SESSIONS, so it cannot run "
            f"with max_concurrent_envs={max_concurrent_envs}: set SUPPORTS_CONCURRENT_SESSIONS = True on the class if "
            "its instances share nothing, or ask for one session."
        )


class SessionCapacityError(OpenEnvError):
    """Every session slot is taken."""

    def __init__(self, active_sessions: int, max_sessions: int, message: str | None = None) -> None:
        self.active_sessions = active_sessions
        self.max_sessions = max_sessions
        super().__init__(
            message
            if message is not None
            else f"Server at capacity: {active_sessions}/{max_sessions} sessions active. Cannot accept new connections."
        )


class SessionNotFoundError(OpenEnvError):
    """There is no such session."""

    def __init__(self, session_id: str, message: str | None = None) -> None:
        self.session_id = session_id
        super().__init__(message if message is not None else f"Session '{session_id}' not found.")


class SessionCreationError(OpenEnvError):
    """A session could not be opened."""

    def __init__(self, reason: str, message: str | None = None) -> None:
        self.reason = reason
        super().__init__(message if message is not None else f"Failed to create session: {reason}")


class EnvironmentFactoryError(OpenEnvError):
    """The environment's factory raised."""

    def __init__(self, factory_name: str, message: str | None = None) -> None:
        self.factory_name = factory_name
        super().__init__(
            message if message is not None else f"Environment factory '{factory_name}' failed to create instance."
        )
