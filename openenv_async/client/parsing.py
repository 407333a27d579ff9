"""Between a trainer's values and a channel's bytes, with OpenEnv's three hooks for those who override them."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, TypeVar

from openenv_async.client.channel import Answer, Channel
from openenv_async.client.generics import Codecs, codecs_for
from openenv_async.codec import Decoded, ModelCodec, ObservationCodec, codec_for, observation_codec_for
from openenv_async.results import StepResult

ActT = TypeVar("ActT")
ObsT = TypeVar("ObsT")
StateT = TypeVar("StateT")

_PLAIN: ModelCodec[Any] = codec_for(None)
_PLAIN_OBSERVATION: ObservationCodec[Any] = observation_codec_for(None)


class Parsing(Generic[ActT, ObsT, StateT]):
    """The half of `AsyncEnv` that knows values. Needs no overriding: the type arguments give the coders.

    A subclass written for OpenEnv may define `_step_payload`, `_parse_result` and
    `_parse_state`; they get and give what they do there, on both wires.
    """

    _codecs: ClassVar[Codecs] = codecs_for(())

    def _step_payload(self, action: ActT) -> dict[str, Any]:
        """Give the JSON form of an action."""
        payload: dict[str, Any] = self._codecs.action.to_builtins(action)
        return payload

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[ObsT]:
        """Make a result from `{"observation": {...}, "reward": ..., "done": ..., "metadata": ...}`."""
        return _result(self._codecs.observation.from_ws_builtins(payload))

    def _parse_state(self, payload: dict[str, Any]) -> StateT:
        """Make a state from its JSON form."""
        state: StateT = self._codecs.state.from_builtins(payload)
        return state

    def _encode_action(self, native: bool, action: ActT) -> bytes:
        codec: ModelCodec[Any] = self._codecs.action
        value: Any = action
        if type(self)._step_payload is not Parsing._step_payload:
            codec, value = _PLAIN, self._step_payload(action)
        return codec.encode_msgpack(value) if native else codec.encode_json(value)

    def _encode_arguments(self, native: bool, arguments: dict[str, Any]) -> bytes:
        return _PLAIN.encode_msgpack(arguments) if native else _PLAIN.encode_json(arguments)

    def _decode_result(self, channel: Channel, answer: Answer) -> StepResult[ObsT]:
        if type(self)._parse_result is not Parsing._parse_result:
            result = self._parse_result(_as_openenv(channel.native, answer.data))
        else:
            codec = self._codecs.observation
            got = codec.decode_native(answer.data) if channel.native else codec.decode_ws_json(answer.data)
            return StepResult(
                got.observation,
                got.reward,
                got.done,
                got.metadata,
                got.truncated,
                channel.session_id,
                channel.request_id,
                answer.warnings,
            )
        if isinstance(result, StepResult):
            result.session_id, result.request_id = channel.session_id, channel.request_id
            if answer.warnings:
                result.warnings = answer.warnings
        return result

    def _decode_state(self, native: bool, data: bytes) -> StateT:
        if type(self)._parse_state is not Parsing._parse_state:
            return self._parse_state(_PLAIN.decode_msgpack(data) if native else _PLAIN.decode_json(data))
        codec = self._codecs.state
        state: StateT = codec.decode_msgpack(data) if native else codec.decode_json(data)
        return state


def _result(decoded: Decoded[Any]) -> StepResult[Any]:
    return StepResult(decoded.observation, decoded.reward, decoded.done, decoded.metadata, decoded.truncated)


def _as_openenv(native: bool, data: bytes) -> dict[str, Any]:
    if not native:
        payload: dict[str, Any] = _PLAIN.decode_json(data)
        return payload
    decoded = _PLAIN_OBSERVATION.decode_native(data)
    payload = {"observation": decoded.observation, "reward": decoded.reward, "done": decoded.done}
    if decoded.metadata:
        payload["metadata"] = decoded.metadata
    return payload
