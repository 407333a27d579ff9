"""What travels. The fields are those of `theirs.models`, except where OpenEnv's wire cannot carry a type."""

from __future__ import annotations

import numpy as np

from openenv_async import Action, Observation


class PayloadAction(Action):
    """Ask for an observation of `size` bytes."""

    size: int


class BytesObservation(Observation):
    """Bytes, as bytes."""

    data: bytes = b""
    count: int = 0


class ArrayObservation(Observation):
    """An array, as an array."""

    data: np.ndarray
    count: int = 0
