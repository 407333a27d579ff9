"""`openenv.core.rubrics`: rewards made of named parts, as OpenEnv 0.10.0 computes them.

`base` has the base class, `containers` combine rubrics, `trajectory` has rewards known
at the episode's end, `llm_judge` asks a language model. An environment applies its
rubric itself.
"""

from __future__ import annotations

from openenv_async.compat.rubrics.base import Rubric
from openenv_async.compat.rubrics.containers import Gate, RubricDict, RubricList, Sequential, WeightedSum
from openenv_async.compat.rubrics.llm_judge import LLMJudge
from openenv_async.compat.rubrics.trajectory import ExponentialDiscountingTrajectoryRubric, TrajectoryRubric

__all__ = [
    "Rubric",
    "Sequential",
    "Gate",
    "WeightedSum",
    "RubricList",
    "RubricDict",
    "TrajectoryRubric",
    "ExponentialDiscountingTrajectoryRubric",
    "LLMJudge",
]
