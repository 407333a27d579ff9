"""Adapter for Gymnasium environments: `openenv serve gym:CartPole-v1`.

The classes of its values are made from the environment's spaces
(`server.gym_spaces`). Needs the extra `gym`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from openenv_async.environment import Action, Environment, EnvironmentMetadata, Observation, State
from openenv_async.errors import EnvironmentFailed, InvalidPayload, UsageError

if TYPE_CHECKING:
    import gymnasium

    from openenv_async.server.app import EnvApp


class GymState(State):
    """The state of an episode."""

    total_reward: float = 0.0
    """The sum of the episode's rewards."""


class GymEnvironment(Environment[Any, Any, GymState]):
    """Adapter of one Gymnasium environment. `gym_environment` makes the subclass for an id."""

    env_id: ClassVar[str]
    make_arguments: ClassVar[dict[str, Any]]
    observation_cls: ClassVar[type[Any]]

    def __init__(self) -> None:
        """Make the Gymnasium environment."""
        super().__init__()
        from openenv_async.server import gym_spaces

        self._spaces = gym_spaces
        self._env = _make(self.env_id, self.make_arguments)
        self._state = GymState()
        self._over: str | None = None

    def reset(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        options: dict[str, Any] | None = None,
        render: bool = False,
    ) -> Any:
        """Begin an episode.

        Args:
            seed: passed to the environment; the same seed gives the same episode.
            episode_id: kept in the state.
            options: passed to the environment, which defines them.
            render: put a picture of the beginning into `frame`.
        """
        observation, info = self._env.reset(seed=seed, options=options)
        self._state = GymState(episode_id=episode_id)
        self._over = None
        return self._observed(observation, info, render)

    def step(self, action: Any) -> Any:
        """Play one action, after checking that it is legal."""
        if self._over is not None:
            raise EnvironmentFailed(
                f"the episode {self._over} at step {self._state.step_count}: call reset() before the next step",
                exception_type="ResetNeeded",
            )
        legal = self._spaces.legal(self._env.action_space, action.action)
        observation, reward, terminated, truncated, info = self._env.step(legal)
        plain_reward = self._spaces.number(reward)
        self._state.step_count += 1
        self._state.total_reward += plain_reward
        if terminated or truncated:
            self._over = "ended" if terminated else "was cut short"
        return self._observed(
            observation,
            info,
            action.render,
            reward=plain_reward,
            done=bool(terminated or truncated),
            truncated=bool(truncated),
        )

    @property
    def state(self) -> GymState:
        """The episode so far."""
        return self._state

    def close(self) -> None:
        """Close the Gymnasium environment."""
        self._env.close()

    def get_metadata(self) -> EnvironmentMetadata:
        """Name the environment and its spaces."""
        lines = (line.strip() for line in (type(self._env.unwrapped).__doc__ or "").splitlines())
        doc = next((line.rstrip(".") for line in lines if line and not line.startswith("#")), "")
        text = f"{doc or self.env_id}. Actions: {self._env.action_space}. Observations: {self._env.observation_space}"
        return EnvironmentMetadata(name=self.env_id, description=text, documentation_url="https://gymnasium.farama.org")

    def _observed(self, observation: Any, info: dict[str, Any], render: bool, **outcome: Any) -> Any:
        plain = self._spaces.plain
        if render:
            outcome["frame"] = self._frame()
        return self.observation_cls(observation=plain(observation), metadata=plain(info), **outcome)

    def _frame(self) -> Any:
        if self._env.render_mode is None:
            raise InvalidPayload(
                f"render: {self.env_id} was made without a render mode; serve it as "
                f"gym:{self.env_id}?render_mode=rgb_array",
                path="render",
            )
        return self._spaces.plain(self._env.render())


GymClasses = tuple[type[GymEnvironment], type[Any], type[Any], type[GymState]]


def gym_environment(env_id: str, **make_arguments: Any) -> GymClasses:
    """Make the classes that serve a Gymnasium environment.

    Args:
        env_id: as for `gymnasium.make`; `module:ENV_ID` imports the module first.
        make_arguments: for `gymnasium.make`, e.g. `render_mode="rgb_array"`.

    Returns:
        The environment's class and those of its actions, observations and states, for `create_app`.

    Raises:
        UsageError: gymnasium is not installed, or cannot make the environment.
    """
    env = _make(env_id, make_arguments)
    try:
        action_space, observation_space, render_mode = env.action_space, env.observation_space, env.render_mode
    finally:
        env.close()
    from openenv_async.server.gym_spaces import annotation

    base = re.sub(r"\W", "", env_id.rpartition("/")[2].rpartition(":")[2].rpartition("-v")[0]) or "Gym"
    action_cls = msgspec.defstruct(
        f"{base}Action",
        [("action", annotation(action_space, f"{base}ActionValue")), ("render", bool, False)],
        bases=(Action,),
        kw_only=True,
        module=__name__,
    )
    fields: list[Any] = [("observation", annotation(observation_space, f"{base}ObservationValue"))]
    if render_mode is not None:
        fields.append(("frame", Any, None))
    observation_cls = msgspec.defstruct(
        f"{base}Observation",
        fields,
        bases=(Observation,),
        kw_only=True,
        module=__name__,
    )
    attributes = {
        "__doc__": f"{env_id} of Gymnasium.",
        "__module__": __name__,
        "env_id": env_id,
        "make_arguments": make_arguments,
        "observation_cls": observation_cls,
    }
    return type(f"{base}Environment", (GymEnvironment,), attributes), action_cls, observation_cls, GymState


def gym_app(env_id: str, **make_arguments: Any) -> EnvApp:
    """Make the ASGI app of a Gymnasium environment; arguments and errors as `gym_environment`."""
    from openenv_async.server.app import create_app

    env_cls, action_cls, observation_cls, state_cls = gym_environment(env_id, **make_arguments)
    return create_app(env_cls, action_cls, observation_cls, env_name=env_id, state_cls=state_cls)


def _make(env_id: str, arguments: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    try:
        import gymnasium
    except ImportError:
        raise UsageError(
            f"{env_id} is an environment of Gymnasium, which is not installed: pip install 'openenv-async[gym]'"
        ) from None
    try:
        # Its checker warns at each first step about what the adapter checks at every one.
        return gymnasium.make(env_id, **{"disable_env_checker": True, **arguments})
    except Exception as error:
        # Gymnasium's own errors say what is near; anything else comes from the environment's code.
        raise UsageError(f"gymnasium.make({env_id!r}) failed: {type(error).__name__}: {error}") from error
