"""Every check by its id: what it tries, what it costs a trainer when it fails, and how long it may take.

`docs/check.md` explains them, in this order. The ids are public: they are what CI
jobs and issues name.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One check."""

    id: str
    tries: str
    why: str
    """What it costs whoever trains on a server that does not hold."""

    chaos: bool = True
    """Made with `--chaos` only."""

    limit_s: float = 30.0
    """Seconds it may take on a server whose steps take none."""


_LOSES = "one bad message costs its sender the whole episode, and the steps already paid for"
_OTHERS = "one client, broken or malicious, takes the server away from every other rollout"

ENTRIES: tuple[Entry, ...] = (
    Entry(
        id="health",
        tries="asks /health",
        why="a load balancer or a container platform takes the server for dead",
        chaos=False,
    ),
    Entry(
        id="schema",
        tries="asks /schema and makes actions from it",
        why="clients and tools cannot know what an action looks like",
        chaos=False,
    ),
    Entry(
        id="play",
        tries="resets, plays steps with those actions, reads the state",
        why="nothing can be trained on it",
        chaos=False,
        limit_s=40.0,
    ),
    Entry(
        id="seed",
        tries="plays the same seed and actions twice",
        why="a run cannot be repeated, and two policies cannot be compared on the same episodes",
        chaos=False,
        limit_s=40.0,
    ),
    Entry(
        id="mixing",
        tries="plays two sessions at once and looks for one in the other",
        why="rollouts learn from each other's episodes, and nothing in the data shows it",
        chaos=False,
        limit_s=40.0,
    ),
    Entry(
        id="wrong-action",
        tries="sends actions that do not fit the schema",
        why="a mistake in the trainer's code is trained on instead of being found, or ends the episode",
        chaos=False,
    ),
    Entry(
        id="leaving",
        tries="leaves without closing, and wants the place back",
        why="each worker that is killed takes a place with it, until the server is full of nobody",
        chaos=False,
    ),
    Entry(
        id="lost-socket",
        tries="loses the socket between two steps, and steps on",
        why="the trainer goes on in a fresh environment without a word: the trajectory it learns from never happened",
        chaos=False,
    ),
    Entry(
        id="capacity",
        tries="fills every place, up to --max-sessions, and asks for one more",
        why="a full server cannot be told from a broken one, and a trainer cannot wait or go elsewhere",
        limit_s=40.0,
    ),
    Entry(
        id="capacity-back",
        tries="closes them all and fills the places again",
        why="the server holds fewer episodes after each wave of rollouts, until it holds none",
        limit_s=40.0,
    ),
    Entry(
        id="cut-json",
        tries="cuts the socket in the middle of a step (FIN, RST), OpenEnv's JSON wire",
        why="the trainer's episode goes on as if nothing had happened, in another environment",
    ),
    Entry(
        id="cut-native",
        tries="cuts the socket in the middle of a step (FIN, RST), native wire",
        why="the step is lost or played twice, and the trajectory differs from what the environment did",
    ),
    Entry(id="garbage-text", tries="sends what is no JSON", why=_LOSES),
    Entry(id="garbage-object", tries="sends JSON that is no object", why=_LOSES),
    Entry(id="garbage-type", tries="sends a message of an unknown type", why=_LOSES),
    Entry(id="garbage-keys", tries="sends a message with unknown keys", why=_LOSES),
    Entry(id="garbage-binary", tries="sends a binary message on the JSON wire", why=_LOSES),
    Entry(id="garbage-depth", tries="sends JSON nested 100,000 deep", why=_LOSES),
    Entry(id="garbage-size", tries="sends an action larger than the server takes", why=_LOSES),
    Entry(id="garbage-native", tries="sends text, noise and unknown frames on the native wire", why=_LOSES),
    Entry(
        id="garbage-utf8",
        tries="sends a text frame that is no UTF-8",
        why="the sender cannot tell its own mistake from a crash of the server",
    ),
    Entry(id="truncated", tries="sends halves of WebSocket frames and leaves", why=_OTHERS),
    Entry(id="half-handshake", tries="begins handshakes and leaves", why=_OTHERS),
    Entry(id="slow-handshake", tries="makes handshakes a byte at a time", why=_OTHERS),
    Entry(id="never-reads", tries="asks and asks without reading an answer", why=_OTHERS),
    Entry(
        id="two-at-once",
        tries="sends two requests without waiting",
        why="an answer is taken for that of another step, and observations belong to the wrong actions",
    ),
    Entry(
        id="early-step",
        tries="steps before the first reset, then resets",
        why="a client that is too early loses its session instead of being told",
    ),
    Entry(
        id="close-twice",
        tries="closes a session twice",
        why="a clean-up that runs twice, as they do, shows up as an error",
    ),
    Entry(
        id="seeds",
        tries="plays one seed in several sessions at once",
        why="what an episode is depends on what else the server does, so no run can be repeated",
        limit_s=40.0,
    ),
    Entry(
        id="leaving-midstep",
        tries="leaves in the middle of a step, 20 times, and counts the places that come back",
        why="each worker that is killed takes a place with it, until the server is full of nobody",
        limit_s=60.0,
    ),
    Entry(
        id="neighbour",
        tries="plays an honest session beside all of it",
        why="somebody else's broken client costs this trainer its episodes, or its time",
    ),
)

BY_ID = {entry.id: entry for entry in ENTRIES}


def ids(*, chaos: bool) -> list[str]:
    """Give the ids of a run, in order."""
    return [entry.id for entry in ENTRIES if chaos or not entry.chaos]
