"""`openenv.core.env_server.base_transforms`: transforms made of others, and the one that does nothing."""

from __future__ import annotations

from typing import Any

from openenv_async.compat.server.interfaces import Transform
from openenv_async.compat.server.models import Observation


class CompositeTransform(Transform[Any]):
    """Applies several transforms, one after the other."""

    def __init__(self, transforms: list[Transform[Any]]) -> None:
        self.transforms = transforms

    def __call__(self, observation: Observation) -> Observation:
        """Give what the last of them makes of it."""
        for transform in self.transforms:
            observation = transform(observation)
        return observation


class NullTransform(Transform[Any]):
    """Gives observations back as they are."""

    def __call__(self, observation: Observation) -> Observation:
        """Give it back."""
        return observation
