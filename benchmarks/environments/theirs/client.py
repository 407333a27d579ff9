# mypy: ignore-errors
# The peer is not installed where the types are checked: it has a virtual environment of its own.
"""Clients as OpenEnv's template writes them. Where there is a choice, the cheaper one: no list is validated twice."""

import base64

import numpy as np
from openenv.core import EnvClient
from openenv.core.client_types import StepResult
from openenv.core.env_server.types import State

from benchmarks.environments.theirs.models import EchoAction, EchoObservation, PayloadAction


class _Client(EnvClient):
    def _parse_state(self, payload):
        return State(episode_id=payload.get("episode_id"), step_count=payload.get("step_count", 0))


class EchoClient(_Client):
    """The echo, typed."""

    def _step_payload(self, action: EchoAction):
        return {"message": action.message}

    def _parse_result(self, payload):
        fields = payload.get("observation", {})
        observation = EchoObservation(
            message=fields.get("message", ""),
            count=fields.get("count", 0),
            done=payload.get("done", False),
            reward=payload.get("reward"),
            metadata=payload.get("metadata", fields.get("metadata", {})),
        )
        return StepResult(
            observation=observation,
            reward=payload.get("reward"),
            done=payload.get("done", False),
            metadata=payload.get("metadata"),
        )


class BytesClient(_Client):
    """Gives the trainer bytes."""

    def _step_payload(self, action: PayloadAction):
        return {"size": action.size}

    def _parse_result(self, payload):
        fields = payload["observation"]
        return StepResult(observation={"data": base64.b64decode(fields["data"]), "count": fields["count"]})


class ArrayClient(_Client):
    """Gives the trainer an array."""

    def _step_payload(self, action: PayloadAction):
        return {"size": action.size}

    def _parse_result(self, payload):
        fields = payload["observation"]
        return StepResult(observation={"data": np.array(fields["data"], np.uint8), "count": fields["count"]})
