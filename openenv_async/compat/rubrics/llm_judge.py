"""`openenv.core.rubrics.llm_judge`: a rubric that asks a language model for the score."""

from __future__ import annotations

import re
from typing import Any, Protocol

from openenv_async.compat.rubrics.base import Rubric

_NUMBER = r"(\d+\.?\d*)"


class CompletesText(Protocol):
    """The client of a language model."""

    async def complete(self, prompt: str) -> str:
        """Return the model's answer to a prompt."""


class LLMJudge(Rubric):
    """Asks a language model and uses the first number of its answer.

    Args:
        prompt_template: the question, with `{action}` and `{observation}` in it.
        client: the language model.
        score_pattern: finds the score in the answer, in its first group if it has one; None: the first number.
        default_score: the score if the answer has none.
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
        return self._parse_score(await self._client.complete(self._render_prompt(action, observation)))

    def _render_prompt(self, action: Any, observation: Any) -> str:
        """Return the prompt. May be overridden."""
        return self.prompt_template.format(action=action, observation=observation)

    def _parse_score(self, response: str) -> float:
        """Return the score in an answer. May be overridden."""
        found = self._score_pattern.search(response)
        if found is None:
            return self.default_score
        try:
            score = float(found.group(1 if found.lastindex else 0))
        except (TypeError, ValueError):
            return self.default_score
        return max(0.0, min(1.0, score)) if self.normalize else score

    def state_dict(self) -> dict[str, Any]:
        return {
            "prompt_template": self.prompt_template,
            "score_pattern": self._score_pattern.pattern,
            "default_score": self.default_score,
            "normalize": self.normalize,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.prompt_template = state.get("prompt_template", self.prompt_template)
        self._score_pattern = re.compile(state.get("score_pattern", self._score_pattern.pattern))
        self.default_score = state.get("default_score", self.default_score)
        self.normalize = state.get("normalize", self.normalize)
