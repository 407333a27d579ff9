"""What this project promises in public, one line each, and the decorator that ties a test to a line.

    from requirements import requirement

    @requirement("session:own-environment")
    async def test_two_connections_get_two_environments() -> None: ...

`test_manifest.py` fails when a line has no test. A test that names no line of this
table fails when its file is imported. Names state the subject, sentences the outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from requirements_observe import OBSERVE
from requirements_operating import OPERATING
from requirements_web import WEB

T = TypeVar("T", bound=Callable[..., object])

_PROMISES = {
    "session:own-environment": "Two sessions never share an environment object.",
    "session:factory-twice": "A factory that returns the same object twice is refused with an explanation.",
    "step:exactly-once": "A step is executed once, whatever happens to its reply or its caller.",
    "step:no-mispairing": "A late reply is never paired with another request.",
    "session:fails-loudly": "A session whose connection or server is gone raises SessionLost; only reset() goes on.",
    "session:bad-frame-lives": "A malformed frame gets an error frame, and its session and its neighbours go on.",
    "session:hang-contained": "An environment that hangs costs its own episode and its own slot for no longer.",
    "session:crash-contained": "An environment that raises, whatever it raises, costs its own call and nothing else.",
    "loop:no-sync-code": "No environment code runs on the event loop unless it is async or declared non-blocking.",
    "idle:nothing-in-flight": "A busy session is never reaped for being idle.",
    "slot:freed": "A slot is free as soon as its session has ended, on every path.",
    "close:once": "close() runs exactly once for every environment built.",
    "close:own-thread": "close() runs on the thread that the environment lives in.",
    "close:client-gone": "close() runs when the client vanishes during a step, and the slot is free after it.",
    "close:server-stops": "close() runs for every session when the server drains.",
    "values:native": "Every value arrives over the native wire as it left.",
    "values:json": "On the JSON wire values arrive as OpenEnv's format carries them.",
    "nothing-dropped:argument": "A reset argument that the environment does not take is an error that names it.",
    "nothing-dropped:seed": "A seed that the environment ignores is a warning that reaches the caller.",
    "light:import": "Importing the client imports no server, UI, Docker or Hub code.",
}

_BAD_INPUT = {
    "bad-input:not-json": "What is no JSON (no msgpack) gets a typed error and the session lives.",
    "bad-input:no-object": "JSON that is no object gets a typed error and the session lives.",
    "bad-input:deep-nesting": "Nesting 100,000 deep gets a typed error and the session lives.",
    "bad-input:wrong-frame-kind": "A binary frame on the JSON wire, text on the native one: error; the session lives.",
    "bad-input:utf8": "Invalid UTF-8 gets a typed error and the session lives.",
    "bad-input:unknown-type": "A message of an unknown type gets UNKNOWN_TYPE and the session lives.",
    "bad-input:missing-key": "An action without a required key gets an error that names the key; the session lives.",
    "bad-input:extra-key": "An action with an unknown key gets an error that names the key; the session lives.",
    "bad-input:wrong-value": "An action value of the wrong type gets an error that names its path; the session lives.",
    "bad-input:too-large": "A message over the limit gets PAYLOAD_TOO_LARGE, the limit named; the session lives.",
    "bad-input:author-validator": "A validator of the author's that raises gives a typed error; the session lives.",
    "bad-input:unencodable": "An observation that cannot be encoded gives an error naming it; the session lives.",
    "bad-input:non-finite-reward": "NaN and infinite rewards arrive as the wire's rule says; the session lives.",
    "bad-input:unprintable": "An exception with unprintable text still gives an error; the session lives.",
    "bad-input:system-exit": "SystemExit in an environment costs that call; server and session live.",
    "bad-input:keyboard-interrupt": "KeyboardInterrupt in an environment costs that call; server and session live.",
}

_CLIENT = {
    "client:before-connect": "A call before connect() raises NotConnected with a sentence.",
    "client:before-reset": "A step before reset() raises NotReset with a sentence.",
    "client:two-at-once": "A second call while one is in flight raises SessionBusy with a sentence.",
    "client:after-close": "A call after close() raises ClientClosed with a sentence.",
    "client:cancelled-call": "Cancelling a call leaves the session usable, or it says that it is not.",
    "client:shared-connection": "Sessions of one event loop to the same server share one connection.",
    "client:many": "asyncio.gather over 512 clients just works.",
    "client:no-proxy": "A proxy named by the environment does not catch connections to this machine.",
    "client:reset-reopens": "reset() opens a new session where the old one was lost, also when nobody had noticed.",
    "client:other-loop": "A client used from another event loop raises WrongLoop and stays usable in its own.",
    "client:unclosed": "A client that nobody closed warns with ResourceWarning and frees its slot.",
    "client:targets": "http, ws, host:port, unix sockets, apps and classes in process are all played alike.",
    "client:connect-failed": "No server, or none of ours, raises ConnectFailed with the address.",
    "client:typed": "Type arguments give a typed client; OpenEnv's three hooks may be overridden, on both wires.",
    "client:deadlines": "timeout_s travels to the server; StepTimeout says whether the session can go on.",
    "client:size-limit": "max_message_size_mb holds for what is sent and for what is received.",
    "client:openenv-server": "A server that speaks OpenEnv's JSON alone is played without being told.",
}

_SERVER = {
    "http:fresh-environment": "Without x-session-id each HTTP request gets an environment of its own, closed after it.",
    "http:sessions": "A reset names its session in x-session-id; requests that carry the name play on with it.",
    "http:idle": "An HTTP session ends after its idle time, and its slot is free.",
    "http:problems": "A body that does not fit is a 422 with a list of problems, before an environment is built.",
    "http:documents": "Every reference of /schema and /openapi.json resolves; /docs loads nothing from elsewhere.",
    "server:one-cap": "HTTP and both wires share one cap; beyond it CAPACITY_REACHED says how many there are.",
    "server:token": "With a token every route but /health wants it, on every wire; no message shows it.",
    "server:origin": "A web page of another origin is refused unless it was allowed.",
    "server:uvicorn": "The same app runs unchanged under uvicorn.",
    "json:python-writer": "NaN, Infinity and lone surrogates, as json.dumps writes them, are read on the JSON wire.",
}

_SYNC = {
    "sync:in-own-loop": "A sync client used inside its own loop's callbacks raises WrongLoop with a sentence.",
    "sync:mirrors-async": "SyncEnv's public methods mirror AsyncEnv's.",
    "sync:notebook": "SyncEnv works where an event loop already runs in the thread.",
    "sync:threads": "SyncEnv works from many threads over one background loop.",
    "sync:after-fork": "SyncEnv works in a forked child.",
    "sync:interrupt": "Ctrl-C interrupts a SyncEnv call.",
}

_RESUME = {
    "resume:same-session": "A session outlives its socket: the same environment goes on, calls get one result.",
    "resume:twice": "A connection that is lost again while it comes back is found again.",
    "resume:kept-outcome": "The newest outcome is kept until it is acknowledged and given again, never made again.",
    "resume:opening": "An opening whose answer is lost is done again and leaves no second session behind.",
    "resume:window": "A client that is not back within resume_window_s has lost its session: closed once, slot free.",
    "resume:busy": "A window that passes during a call ends the session after the call, not under it.",
    "resume:secret": "A session is resumed with its own token only.",
    "resume:takeover": "A resumed session leaves a connection that is half open, and nobody there has it any longer.",
    "resume:restarted-server": "A server that was started anew is known for another: SessionLost, and reset() goes on.",
    "resume:meanwhile": "Timeouts and cancellations hold while the connection is away, and the server hears of them.",
    "resume:goodbye": "A client that leaves in good order, or whose event loop ends, leaves no session waiting for it.",
    "resume:callback": "on_reconnect is called after each resumption, and what it raises hurts nothing.",
    "resume:old-peers": "Clients and servers that cannot resume are served as before, and say so in SessionLost.",
    "drain:episodes": "A server that is told to go by SIGTERM lets episodes be played to their end within grace_s.",
    "drain:no-call-fails": "A rolling restart fails no call of clients that play short episodes.",
    "drain:idle": "While a server drains, sessions without an episode end at once and idle ones after drain_idle_s.",
    "liveness:pings": "Pings pass both ways while an environment steps, so that no proxy takes the socket for idle.",
    "liveness:silent-peer": "A peer that has fallen silent is noticed by its pings.",
}

_PROCESS = {
    "process:own": "With execution='process' every session's environment has a process of its own, or a seat in one.",
    "process:crash": "A process that exits or is killed costs its own sessions: ENV_CRASHED, how, and its last words.",
    "process:hang": "A call past its deadline is killed with its process, the slot is free, reset() gets a fresh one.",
    "process:async-deadline": "An async call past its deadline is cancelled in its process, and the session goes on.",
    "process:others": "Of 100 environments a third hang, exit, segfault or run out of memory; the rest lose nothing.",
    "process:no-orphans": "No process, zombie or descriptor is left, after close, crash, drain or a killed server.",
    "process:nothing-inherited": "A process has no socket of the server or of another session, and default signals.",
    "process:unpicklable": "Lambdas, closures and local classes can be served in processes.",
    "process:threads": "Libraries that start threads when imported work in processes.",
    "process:warm": "A session that finds a spare process begins in milliseconds; never more processes than slots.",
    "process:shared": "sessions_per_process=N packs sessions, each its own environment; a crash ends those N only.",
    "process:limits": "Memory, processor time and open files can be bounded for each environment.",
    "process:values": "16 MiB payloads and arrays pass both ways between a client and a process as they left.",
    "process:log": "The log of an environment's process is in the server's log, with the session's id.",
    "process:serve": "openenv serve --execution process works, with --reload and under uvicorn too.",
}

_ROOM: dict[str, str] = {
    "room:in-order": "On a full server clients are served in the order in which they came, and none starves.",
    "room:fair": "Freed slots go round the connections: a thousand wishes of one do not delay another's single one.",
    "room:leaves": "A client that cancels, closes or vanishes while it waits leaves the queue.",
    "room:timeout": "After queue_timeout_s, the client's own or the server's, a waiting client gets CAPACITY_REACHED.",
    "room:refusal": "CAPACITY_REACHED says how many sessions are active, allowed and waiting, and when to try again.",
    "room:zero": "A wait of 0 refuses at once, unless a slot is being given back; JSON wire and HTTP do so by default.",
    "room:bounded": "The queue has a bound; beyond it the connection that wants the most loses its latest wish.",
    "room:no-slot-lost": "A slot that comes in the turn of its waiter's timeout or cancellation is not lost.",
    "flood:never-reads": "A client that never reads its replies stalls its own sessions; memory and others stay well.",
    "flood:requests": "10,000 requests sent without waiting, on one session or many: memory and others stay well.",
    "flood:chunks": "Chunks of requests that are never finished are bounded for the connection, the limit named.",
    "flood:sessions": "A client that opens 100,000 sessions gets refusals; memory and others stay well.",
    "flood:pings": "A client that floods the server with pings is cut off; memory and others stay well.",
    "flood:bad-frames": "A flood of bad frames, its errors unread, leaves memory and others well.",
    "flood:handshakes": "A connection that dribbles its first request is cut off after handshake_timeout_s.",
    "flood:connections": "Beyond max_connections a connection is answered HTTP 503 and others play on.",
    "flood:bodies": "A HTTP body over the limit is 413 before all of it is read; one that dribbles is 408.",
    "flood:session-rate": "A connection that keeps opening sessions too fast is refused with when to try again.",
    "flood:log": "Lines that a client can cause over and over are left out of the log beyond a rate, and counted.",
    "room:capacity": "GET /capacity says how full the server is.",
}

_SECURITY: dict[str, str] = {
    "tls:served": "Both wires and HTTP are served over TLS.",
    "tls:verified": "A client believes no certificate of an unknown authority or another name, and says why.",
    "tls:command": "openenv serve --certfile --keyfile serves https; files it cannot use are one line and exit code 1.",
    "security:every-route": "With a token every route and path but /health refuses who has none or a wrong one.",
    "security:no-traceback": "Peers see no traceback and no path of the server unless it runs with --debug.",
    "security:log": "Tokens, Authorization headers and secret query parameters or variables never reach the log.",
    "security:proc": "What an environment starts cannot read the server's token in /proc of its parent process.",
}

_CHECK = {
    "json:early-step": "A step before any reset on a JSON connection is answered with a warning that says so.",
    "check:ours-holds": "Against this runtime's own server nothing of `openenv check --chaos` breaks.",
    "check:finds": "A server that breaks a promise is found out by the check of that promise.",
    "check:exit-codes": "`openenv check` exits 0 when all held, 1 when something broke, 2 when no server answers.",
    "check:json": "`openenv check --json` prints one documented JSON object and nothing else.",
    "check:nothing-left": "Without --chaos a check leaves no session behind on the server.",
    "check:bounded": "A check ends within its timeout, whatever the server does; what it found is told.",
    "check:interrupted": "Ctrl-C ends a check cleanly and shows what it found so far.",
    "check:documented": "docs/check.md explains every check by its id.",
}

_EPISODES = {
    "episode:played": "run_episode plays from reset() to done or max_steps; its result has all that was seen and done.",
    "episode:started-over": "On an infrastructure fault the episode begins again in a fresh session, never silently.",
    "episode:task-failure": "What the task or the policy brings about is raised and nothing is begun again.",
    "episode:cancelled": "Cancelling run_episode leaves the session as cancelling step() does.",
    "episode:rules": "run_episode refuses wrong use with a sentence, and a second episode beside the first.",
    "alive:long-steps": "Pings are answered while an environment steps, on both wires, in a thread and on the loop.",
    "alive:idle-proxy": "The pings of either end keep up a connection behind a proxy that drops what is idle.",
    "alive:busy-trainer": "A client whose own loop is held for longer than a ping takes loses no connection.",
    "alive:dead-peer": "A server that answers nothing for a ping's timeout is given up, and no sooner.",
    "alive:gil": "An environment that holds the GIL for less than a ping's timeout ends no connection.",
    "deadline:which": "The deadline of a call wins over its class's, and that over the server's, on every wire.",
    "deadline:reset": "A reset has the same deadlines as a step.",
    "deadline:json": "On the JSON wire a call's deadline is the client's own; the late answer is passed over.",
    "deadline:server": "openenv serve --step-timeout and OPENENV_STEP_TIMEOUT set the server's deadline.",
    "deadline:told": "StepTimeout says whether and how the session goes on; a deadline without sense is refused.",
    "cancel:reaches": "Cancelling a call cancels it where it runs, over a socket, in process and from SyncEnv.",
    "errors:taxonomy": "Every error has code, fault and retryable, which arrive over both wires with its details.",
    "errors:pickled": "Every error can be pickled and copied without losing anything.",
    "errors:foreign": "Whatever is wrong with an address or a connection is an error of ours, never a library's.",
    "errors:documented": "docs/errors.md says of every error what the code says and what it leaves of the session.",
    "errors:next-step": "The text of an error says what to do next.",
    "errors:of-tomorrow": "A code of a newer server keeps its name, its fault and whether a retry is safe.",
}

_FAULTS = {
    "faults:json-loud": "On the JSON wire a cut is SessionLost each time, never a silent continuation.",
    "faults:room": "Four slots and 64 clients at once: all are served in order, none starves.",
    "faults:soak": "Memory, tasks, threads and descriptors of a loaded server on a bad network do not grow.",
    "faults:fuzz-decoders": "Whatever a peer sends, what reads it raises what it promises and reads on.",
    "faults:fuzz-native": "Whatever comes on the native wire: one answer for each request, and no session pays for it.",
    "faults:fuzz-json": "Whatever comes on the JSON wire: one answer for each message, and the session goes on.",
    "faults:cuts": "1,000 cuts at random bytes over 200 sessions: no step is lost, none done twice, none swapped.",
    "faults:paused": "The same while the process of the server, or of the clients, stands still now and then.",
    "faults:kinds": "Delayed, throttled, half-open, truncated and repeated traffic loses, doubles and swaps no step.",
    "faults:rolling": "No call fails while a server drains and another takes over from it.",
    "faults:fuzz-sockets": "Whatever bytes come on a socket, the server and those who play on it go on.",
    "faults:restart": "When a server is killed, each of 200 clients is told; reset() goes on with the next one.",
}

_COMPAT: dict[str, str] = {
    "compat:names": "With compat on, every module of OpenEnv's server side is imported by its name, old or new.",
    "compat:absent": "A name of OpenEnv's that is not provided raises an ImportError that names the alternative.",
    "compat:unknown": "A name that 0.10.0 does not have fails on import, as it does there.",
    "compat:left-alone": "An installed openenv is left alone unless it is to be overridden.",
    "compat:script": "python -m openenv_async.compat runs a script or a module with the names answered.",
    "compat:parity": "An OpenEnv app answers every message and request as on OpenEnv 0.10.0: same keys, codes, values.",
    "compat:session-lives": "A message that ends a session on OpenEnv 0.10.0 gets an error and the session lives.",
    "compat:values": "Values that OpenEnv 0.10.0 cannot write, numpy's among them, are written.",
    "compat:reset-arguments": "A reset argument that an OpenEnv environment does not take is left out, with a warning.",
    "compat:shared": "A factory of OpenEnv's that returns one shared environment works, with one warning.",
    "compat:lenient": "What fails on OpenEnv 0.10.0 and has one meaning works: state as a method, async step.",
    "compat:native": "An OpenEnv app speaks the native wire too, on the same /ws.",
    "compat:queue-free": "Plain HTTP requests to an OpenEnv app take no slot of its sessions.",
    "compat:threads": "An OpenEnv environment's plain methods all run on its session's thread, or on the one for all.",
    "compat:close": "close() of an OpenEnv environment runs once, on every way a session ends.",
    "compat:lifespan": "An author's lifespan runs around the sessions of the app, and middleware sees their messages.",
    "compat:idle": "session_timeout ends idle sessions, and none that a socket is attached to.",
    "compat:guard": "Token and origins guard an author's own routes too; CORSMiddleware's origins are let in.",
    "compat:setup": "What cannot be served is refused when the app is made, with a sentence.",
    "compat:mounted": "OpenEnv apps work under prefixes of another app, without a lifespan.",
    "compat:commands": "openenv serve and validate turn compat on for environments that import openenv.",
    "compat:loops": "Sessions made over HTTP survive the event loop of their request, as test clients need.",
    "compat:tools": "FastMCP tools are actions; tools of one mode, reserved names and code that calls tools work.",
    "compat:light": "Turning compat on loads neither server nor client.",
}

_COMPAT_CLIENT = {
    "compat-client:both-ways": "OpenEnv's client gives results in sync code and awaitables in async code.",
    "compat-client:unawaited": "A call of OpenEnv's client that nobody awaits or reads inside a loop warns.",
    "compat-client:errors": "Its errors: RuntimeError with the server's text and code, TimeoutError, ConnectionError.",
    "compat-client:fails-loudly": "Its lost session raises ConnectionError; only reset() or connect() open another.",
    "compat-client:cancelled": "After a cancelled call it says that the session is lost, and reset() works at once.",
    "compat-client:slot": "When its close() returns, the server's slot is free.",
    "compat-client:unclosed": "Unclosed, it warns with ResourceWarning and frees its slot.",
    "compat-client:constructor": "Its constructor has 0.10.0's names and defaults, and the older names work.",
    "compat-client:headers": "Its headers go on every connection and request.",
    "compat-client:own-server": "from_docker_image and the like can be awaited, made sync, or used right away.",
    "compat-client:providers": "OpenEnv's Docker and uv providers work; absent ones say so on import.",
    "compat-client:tools": "MCPToolClient lists and calls tools in the session it plays; unreachable, it lists none.",
    "compat-client:rubrics": "Rubrics score as OpenEnv 0.10.0's do, hooks and coroutines included.",
    "compat-client:interop": "Each of OpenEnv's client and ours plays on each of OpenEnv's server and ours.",
}

REQUIREMENTS: dict[str, str] = (
    _PROMISES
    | _BAD_INPUT
    | _CLIENT
    | _SYNC
    | _SERVER
    | _RESUME
    | _PROCESS
    | _ROOM
    | _SECURITY
    | _CHECK
    | _EPISODES
    | _FAULTS
    | _COMPAT
    | _COMPAT_CLIENT
    | OBSERVE
    | OPERATING
    | WEB
)


def requirement(*names: str) -> Callable[[T], T]:
    """Say which lines of `REQUIREMENTS` a test proves.

    Raises:
        LookupError: there is no such line.
    """
    unknown = [name for name in names if name not in REQUIREMENTS]
    if unknown or not names:
        raise LookupError(f"no line of tests/requirements.py is named {', '.join(unknown) or '(nothing)'}")

    def same(test: T) -> T:
        return test

    return same
