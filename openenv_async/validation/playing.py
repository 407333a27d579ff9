"""Plays the environment: reset, steps with actions made from its schema, state, and the same again by its seed."""

from __future__ import annotations

import json
from typing import Any

from openenv_async.errors import EnvironmentFailed, InvalidMessage
from openenv_async.results import StepResult
from openenv_async.validation.comparing import different_result
from openenv_async.validation.generating import CannotGenerate, actions
from openenv_async.validation.recorder import Said, failed, warned
from openenv_async.validation.subject import Client, Subject

SEED, OTHER_SEED = 7, 8
STEPS = 3
TRIES = 8
"""Actions made until as many as `STEPS` were taken."""


class Player:
    """What the checks of one server learn of it, one from the other."""

    def __init__(self, subject: Subject, schemas: dict[str, Any]) -> None:
        self.subject = subject
        self.schemas = schemas
        self.good: list[Any] = []
        """Actions that the environment has played."""

        self.repeatable = False
        """The same seed and actions gave the same results."""

    async def check_reset(self, client: Client) -> Said:
        """Begin an episode."""
        await client.open()
        result = await client.reset(seed=SEED)
        said = f"reset gives an observation with {_keys(result.observation)}"
        if result.done:
            return warned(f"{said}, and the episode is over before it began", "reset must not give done=True")
        return Said(sentence=said)

    async def check_step(self, client: Client) -> Said:
        """Play actions made from the schema, and remember those that were taken."""
        try:
            made = actions(self.schemas["action"], TRIES)
        except CannotGenerate as error:
            return warned(f"no action could be made: {error}", "give the field `examples` in its schema")
        refused: list[str] = []
        rewards: list[Any] = []
        ended = False
        for action in made:
            if ended:
                await client.reset(seed=SEED)
                ended = False
            try:
                result = await client.step(action)
            except (EnvironmentFailed, InvalidMessage) as error:
                refused.append(f"{_short(action)}: {error}")
                continue
            self.good.append(action)
            rewards.append(result.reward)
            ended = result.done
            if len(self.good) == STEPS:
                break
        played = f"{len(self.good)} actions made from the schema were played, e.g. {_short(self.good[:1] or made[:1])}"
        if not self.good:
            hint = "let the schema say what is legal (an enumeration, bounds, examples), or answer with an observation"
            return failed(f"every action made from the schema failed: {refused[0]}", hint, *refused[1:])
        if refused:
            hint = "let the schema say what is legal, or answer an illegal action with an observation"
            return warned(f"{played}; {len(refused)} failed: {refused[0]}", hint, *refused[1:])
        return Said(sentence=played, details=(f"rewards: {', '.join(map(_number, rewards))}",))

    async def check_state(self, client: Client) -> Said:
        """Read the state."""
        state = await client.state()
        if not isinstance(state, dict):
            return failed(f"the state is a {type(state).__name__}, and not an object")
        return Said(sentence=f"state gives {_keys(state)}")

    async def check_seed(self) -> Said:
        """Play the same episode twice, and one of another seed."""
        one, ignored = await self._episode(SEED)
        two, _ = await self._episode(SEED)
        if ignored:
            return warned(
                "the environment ignores the seed", "take `seed` in reset(), so that episodes can be repeated"
            )
        for number, (a, b) in enumerate(zip(one, two, strict=False)):
            differs = different_result(a, b)
            if differs:
                where = f"at step {number}" if number else "at reset"
                return warned(
                    f"the same seed and the same actions gave something else {where}: {differs}",
                    "draw every random number from a generator that reset() seeds",
                )
        if len(one) != len(two):
            return warned(f"the same seed gave an episode of {len(one) - 1} steps and then of {len(two) - 1}")
        self.repeatable = True
        other, _ = await self._episode(OTHER_SEED)
        same = len(other) == len(one) and not any(map(different_result, one, other))
        end = "and so did another seed" if same else "and another seed gave others"
        return Said(sentence=f"the same seed and the same actions gave the same observations, {end}")

    async def _episode(self, seed: int) -> tuple[list[StepResult[Any]], bool]:
        """Play an episode in a session of its own; also say whether the seed was ignored."""
        async with self.subject.client() as client:
            first = await client.reset(seed=seed)
            results = [first, *await self.play(client, first.done)]
        return results, any("seed" in text for text in first.warnings)

    async def play(self, client: Client, done: bool = False) -> list[StepResult[Any]]:
        """Play the good actions to the end of the episode; what raises is a result too."""
        results: list[StepResult[Any]] = []
        for action in self.good:
            if done:
                break
            try:
                results.append(await client.step(action))
                done = results[-1].done
            except EnvironmentFailed as error:
                results.append(StepResult({"raised": error.message}))
        return results


def _keys(value: Any) -> str:
    if not isinstance(value, dict):
        return f"a {type(value).__name__}"
    return ", ".join(map(str, value)) or "no fields"


def _number(reward: Any) -> str:
    return f"{reward:g}" if isinstance(reward, float) else str(reward)


def _short(action: Any) -> str:
    text = json.dumps(action, default=repr, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}..."
