"""The values that rules work on: frozen, typed, free of behaviour beyond claims.

Instants are aware UTC datetimes; durations are timedeltas. Must not know how a
value is stored, found or shown.

Named tuples, not dataclasses: making a dataclass costs five times as much at import,
and every invocation imports these. `_replace` gives a changed copy.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from agentctl.core.effects import Effect

GRACE = timedelta(seconds=30)
"""After launch, how long "the agent's store does not list it" proves nothing."""

DEFAULT_FUSE = timedelta(hours=4)
"""Lifecycle fuse of a launch without --fuse: ends nothing, only makes a live process count as running."""

DEFAULT_DIRECTORY_FUSE = timedelta(minutes=10)


class Status(StrEnum):
    """What a session is now. `stopped` and `error` are final."""

    STARTING = "starting"
    RUNNING = "running"
    IDLE = "idle"
    STOPPING = "stopping"
    STOPPED = "stopped"
    ERROR = "error"


FINAL = frozenset({Status.STOPPED, Status.ERROR})


class Source(StrEnum):
    """Where a session comes from: launched here, or found in an agent's own store."""

    TRACKED = "tracked"
    EXTERNAL = "external"


class Outcome(StrEnum):
    """How a final session ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    LOST = "lost"
    UNLISTED = "unlisted"


class StopCause(StrEnum):
    """Who asked for the end; kept from the request until the session is final."""

    NONE = "none"
    USER = "user"
    FUSE = "fuse"
    GIVEN_UP = "given_up"
    """A user's, of a session that nobody can say anything about any more."""


class Liveness(StrEnum):
    """What lock and identity say together."""

    ALIVE = "alive"
    ENDING = "ending"
    DEAD = "dead"
    UNKNOWN = "unknown"


class Held(StrEnum):
    """What a probe of a lock found. A missing file or lock service proves nothing."""

    YES = "held"
    NO = "free"
    UNKNOWN = "unknown"


class Life(StrEnum):
    """What became of a recorded process."""

    ALIVE = "alive"
    GONE = "gone"
    """Not there, or its pid belongs to another process now."""
    ZOMBIE = "zombie"
    REBOOTED = "rebooted"
    """Recorded on this machine before it was booted."""
    FOREIGN = "foreign"
    """Recorded on another machine: nothing can be said."""
    UNSEEN = "unseen"
    """Recorded since this machine was booted, in a pid namespace that is not shown here: a container."""
    UNREADABLE = "unreadable"
    """What would identify it cannot be read, here or where it was recorded."""


class Listing(StrEnum):
    """What the agent's own store says of a native id."""

    RUNNING = "running"
    ENDED = "ended"
    ABSENT = "absent"
    UNAVAILABLE = "unavailable"


class AgentVerdict(StrEnum):
    """What the agent's own result record says."""

    OK = "ok"
    ERROR = "error"
    SILENT = "silent"


class FuseState(StrEnum):
    ARMED = "armed"
    FIRED = "fired"
    CANCELLED = "cancelled"


class FuseAction(StrEnum):
    """`stop` and `none` belong to sessions; `script`, `webhook`, `event` to directories."""

    STOP = "stop"
    NONE = "none"
    SCRIPT = "script"
    WEBHOOK = "webhook"
    EVENT = "event"


class Identity(NamedTuple):
    """A process that was identified, to be checked again before it is signalled."""

    pid: int
    start_token: str


class Rung(NamedTuple):
    """One step of the stop ladder: a signal, and how long to wait before the next."""

    signal: int
    wait: timedelta


TERM_THEN_KILL: tuple[Rung, ...] = (Rung(15, timedelta(seconds=10)), Rung(9, timedelta(seconds=5)))
"""Default ladder. The last rung is repeated after its wait: signals are at-least-once."""


class Tokens(NamedTuple):
    """The agent's own counts for this run; None where it is silent."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None


class Result(NamedTuple):
    """What an agent reports of its own run. Whatever it does not say is None."""

    verdict: AgentVerdict = AgentVerdict.SILENT
    text: str | None = None
    """The agent's last word, or its error in one line."""
    native_id: str | None = None
    model: str | None = None
    tokens: Tokens = Tokens()
    cost_usd: float | None = None
    turns: int | None = None
    notes: tuple[str, ...] = ()
    """What a person should know: denied tools, a truncated answer, retries."""
    transcript_path: str | None = None
    adapter_version: str | None = None
    missing: str | None = None
    """Of a run that has ended: why the record that its program owes does not prove a success."""


class Session(NamedTuple):
    """One run of one agent: a row of the store, or one found in an agent's own store."""

    id: str
    adapter: str
    cwd: str
    status: Status
    created_at: datetime
    source: Source = Source.TRACKED
    name: str | None = None
    outcome: Outcome | None = None
    reason: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    lingering: bool = False
    unsupervised: bool = False
    stop_cause: StopCause = StopCause.NONE
    stop_stage: int = 0
    """Rungs of the ladder already asked for."""
    stop_escalate_at: datetime | None = None
    ladder: tuple[Rung, ...] = TERM_THEN_KILL
    pid: int | None = None
    start_token: str | None = None
    native_id: str | None = None
    parent_id: str | None = None
    depth: int = 0
    resumed_from: str | None = None
    group: str | None = None
    branch: str | None = None
    repo: str | None = None
    """The main worktree of the repository whose linked worktree `cwd` is; None for any other directory."""
    base_commit: str | None = None
    """What was checked out there when the agent began; `compare` measures from it."""
    model: str | None = None
    requested_model: str | None = None
    """What the user asked for, for `rerun`; `model` is what the agent reports."""
    prompt: str | None = None
    args: tuple[str, ...] = ()
    """The user's words after `--`, kept for `rerun`."""
    env_keys: tuple[str, ...] = ()
    """Names of --env variables; their values are never stored."""
    hooks: Mapping[str, str] = MappingProxyType({})
    """Hook name (`on_create`, `on_complete`, `on_fuse_warn`) → shell command."""
    meta: Mapping[str, str] = MappingProxyType({})
    """What `launch` was told to send along with every webhook."""
    webhook: str | None = None
    """What the launch's environment wants of its posts, by fingerprints; None if that was not recorded."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    tokens: Tokens = Tokens()
    cost_usd: float | None = None
    turns: int | None = None
    result: str | None = None
    notes: tuple[str, ...] = ()
    store_path: str | None = None
    """The agent's store as it was at launch; later environments may point elsewhere."""
    transcript_path: str | None = None
    adapter_version: str | None = None
    revision: int = 0

    @property
    def is_final(self) -> bool:
        return self.status in FINAL

    @property
    def is_external(self) -> bool:
        return self.source is Source.EXTERNAL

    @property
    def is_settled(self) -> bool:
        """Final and with no process left: reconcile never looks at it again."""
        return self.is_final and not self.lingering


class Fuse(NamedTuple):
    """A persisted deadline of a session (`session_id`) or of a directory."""

    id: str
    deadline: datetime
    action: FuseAction
    created_at: datetime
    state: FuseState = FuseState.ARMED
    session_id: str | None = None
    directory: str | None = None
    warn_at: datetime | None = None
    """When the warn hook becomes due; None for no warning, or once it was queued."""
    command: str | None = None
    """Shell command of action `script`."""
    url: str | None = None
    """Address of action `webhook`; None for the configured one."""
    revision: int = 0

    def is_due(self, now: datetime) -> bool:
        """Armed and not before its deadline; exactly at the deadline is due."""
        return self.state is FuseState.ARMED and now >= self.deadline

    def vouches(self, now: datetime) -> bool:
        return self.state is FuseState.ARMED and now < self.deadline


class LockKind(StrEnum):
    """Whose a lock is."""

    PERSON = "person"
    SESSION = "session"


class Lock(NamedTuple):
    """A directory held by a session (`session_id`) or by a person (`holder`)."""

    id: int
    directory: str
    holder: str
    created_at: datetime
    session_id: str | None = None
    reason: str | None = None
    expires_at: datetime | None = None

    @property
    def kind(self) -> LockKind:
        return LockKind.PERSON if self.session_id is None else LockKind.SESSION


class ExitRecord(NamedTuple):
    """The shim's exit file. `code` is None where the file is empty or unreadable."""

    code: int | None
    at: datetime


class AgentRecord(NamedTuple):
    """The shim's pid file: the agent's identity and when it started."""

    pid: int
    start_token: str | None
    started_at: datetime


class Observation(NamedTuple):
    """What was seen of one session at one instant."""

    liveness: Liveness
    evidence: str
    """How liveness was found, in words a person can check."""
    exit: ExitRecord | None = None
    agent: AgentRecord | None = None
    supervised: bool = True
    """The shim holds the liveness lock."""
    suspended: bool = False
    """The agent lives and does nothing: somebody sent it SIGSTOP."""
    fired: bool = False
    """Its timer ended it at its deadline, because no agentctl could be run to do that."""
    booted_at: datetime | None = None
    """Of this machine, where the recorded boot is another one; explains a loss."""
    listing: Listing = Listing.UNAVAILABLE
    result: Result = Result()


class Verdict(NamedTuple):
    """What is true of a session, and why: the row after, its fuse, and what is to be done.

    `shown` differs from `session.status` only while an agent has ended and its
    shim has not yet recorded it: shown as `stopping`, nothing written.
    """

    rule: int
    """Row of the table in `decide`; 0 where none decided: the session was already final, or is external."""
    session: Session
    fuse: Fuse | None
    shown: Status
    reason: str
    effects: tuple["Effect", ...] = ()

    @property
    def is_ending(self) -> bool:
        """The session was live and is final by this verdict."""
        return self.rule != 0 and self.session.is_final


def as_stored(session: Session, fuse: Fuse | None = None) -> Verdict:
    """The verdict on a row that needs no judging: what it says itself."""
    return Verdict(rule=0, session=session, fuse=fuse, shown=session.status, reason=session.reason or "")
