"""`LLMJudge`: a score that a language model gives. Which model, and how it is reached, is its client's matter."""

from __future__ import annotations

import re
from typing import Any, Protocol

from openenv_async.compat.rubrics.base import Rubric

_NUMBER = r"(\d+\.?\d*)"


class CompletesText(Protocol):
    """What the judge asks: anything with this method."""

    async def complete(self, prompt: str) -> str:
        """Give the model's answer to a prompt."""


class LLMJudge(Rubric):
    """Asks a language model and takes the first number of its answer.

    Args:
        prompt_template: the question, with `{action}` and `{observation}` in it.
        client: whom to ask.
        score_pattern: finds the score in the answer, in its first group if it has one; None: the first number.
        default_score: the score where there is none in the answer.
        normalize: cut the score to 0.0 to 1.0.
    """

    def __init__(
        self,
        prompt_template: str,
        client: CompletesText,
        *,
        score_pattern: str | None = None,
        default_score: float = 0.0,
        normalize: bool = True,
    ) -> None:
        super().__init__()
        self.prompt_template = prompt_template
        self._client = client
        self._score_pattern = re.compile(score_pattern or _NUMBER)
        self.default_score = default_score
        self.normalize = normalize

    async def forward(self, action: Any, observation: Any) -> float:
        """Ask, and read the answer."""
        return self._parse_score(await self._client.complete(self._render_prompt(action, observation)))

    def _render_prompt(self, action: Any, observation: Any) -> str:
        """Make the question. May be overridden."""
        return self.prompt_template.format(action=action, observation=observation)

    def _parse_score(self, response: str) -> float:
        """Find the score in an answer. May be overridden."""
        found = self._score_pattern.search(response)
        if found is None:
            return self.default_score
        try:
            score = float(found.group(1 if found.lastindex else 0))
        except (TypeError, ValueError):
            return self.default_score
        return max(0.0, min(1.0, score)) if self.normalize else score

    def state_dict(self) -> dict[str, Any]:
        """Give the configuration, without the client."""
        return {
            "prompt_template": self.prompt_template,
            "score_pattern": self._score_pattern.pattern,
            "default_score": self.default_score,
            "normalize": self.normalize,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what is there of a configuration."""
        self.prompt_template = state.get("prompt_template", self.prompt_template)
        self._score_pattern = re.compile(state.get("score_pattern", self._score_pattern.pattern))
        self.default_score = state.get("default_score", self.default_score)
        self.normalize = state.get("normalize", self.normalize)
