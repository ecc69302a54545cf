"""The shape of an adapter, the values it returns, and defaults for what its program does not do.

An adapter is a module, or an object, that satisfies `Adapter`. It describes one agent program:
how it is started, where it keeps its sessions, how it reports success. It never
spawns, waits, signals, locks or writes. What the program does not say is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from agentctl.core.ids import short
from agentctl.core.model import Listing, Outcome, Result, Rung, Session, Status, Tokens
from agentctl.errors import AdapterUnavailable


class Capability(StrEnum):
    """What an adapter can do. A command that needs more is refused, and the error names the capability."""

    LAUNCH = "launch"
    PROMPT = "prompt"
    """Takes a prompt; an adapter without it (exec) takes a command after `--`."""
    MODEL = "model"
    RESUME = "resume"
    PEEK = "peek"
    DISCOVER = "discover"
    REMOTE = "remote"


ALL_LOCAL = frozenset(Capability) - {Capability.REMOTE}
"""The capabilities of an adapter whose program keeps its conversations in files of its own."""


class Option(NamedTuple):
    """A key that the adapter reads from its `[adapters.NAME]` table besides `command`, `model` and `args`."""

    name: str
    help: str
    """One line with a full stop; says the default."""
    choices: tuple[str, ...] = ()
    """The values that are allowed; empty for any."""
    kind: type = str
    """`str`, `bool`, `list` (of strings) or `dict` (a table)."""


class CommandRequest(NamedTuple):
    """What an adapter is asked to make a command for: a launch with every default applied."""

    session_id: str
    cwd: str
    """Absolute, symbolic links resolved."""
    prompt: str | None = None
    model: str | None = None
    args: tuple[str, ...] = ()
    program: tuple[str, ...] = ()
    """Configured command in place of the adapter's own (`[adapters.NAME] command`)."""
    config: Mapping[str, Any] = MappingProxyType({})
    """The `[adapters.NAME]` table."""
    environ: Mapping[str, str] = MappingProxyType({})
    """The environment that the agent will start from."""
    given: frozenset[str] = frozenset()
    """Names of the variables that the user gave for this launch (`--env`): never removed."""


class Command(NamedTuple):
    """How the agent is started: data only."""

    argv: tuple[str, ...]
    env: Mapping[str, str | None] = MappingProxyType({})
    """Changes to the environment; None removes."""
    stdin: str | None = None
    """Text for standard input, handed over as a file; None is /dev/null."""
    native_id: str | None = None
    """The session's id in the agent's store, where agentctl chooses it."""
    programs: tuple[str, ...] = ()
    """Programs that the first one starts in turn: if one is missing, the launch is refused, too."""
    notes: tuple[str, ...] = ()
    """What a person should know about the start, such as a variable that was removed."""


class Role(StrEnum):
    """Who or what an entry of a conversation comes from."""

    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"
    ERROR = "error"
    LOG = "log"


class Message(NamedTuple):
    """One entry of a conversation, for `peek` and `logs`."""

    role: Role
    text: str
    at: datetime | None = None
    tool: str | None = None


class Process(NamedTuple):
    """A process of this user that looks like the adapter's program."""

    pid: int
    argv: tuple[str, ...]
    started_at: datetime
    start_token: str
    cwd: str | None
    """`PWD` of its environment where readable, else its working directory."""
    directory: str | None = None
    """The working directory that the kernel reports; only shells set `PWD`."""
    session_tag: str | None = None
    """AGENTCTL_SESSION_ID of its environment: a tracked session started it."""
    locked: frozenset[tuple[int, int]] = frozenset()
    """Device and inode of each file on which it holds a lock; empty where the system does not tell."""
    is_shared: bool = False
    """Set by `match` for a server that works on other sessions, too. It is shown, and never signalled."""
    is_busy: bool | None = None
    """Set by `match` where the program itself says whether it works on its session's turn."""
    waits_for: str | None = None
    """Set by `match` where the program itself says what it waits for from a person."""


class Standing(NamedTuple):
    """What a remote store proves about a session that has no process on this machine."""

    status: Status
    outcome: Outcome | None
    reason: str
    """One plain clause."""


class NativeSession(NamedTuple):
    """A session found in the agent's own store."""

    native_id: str
    store_path: str
    cwd: str | None
    title: str | None
    created_at: datetime
    updated_at: datetime
    model: str | None = None
    result: Result = Result()
    is_open: bool = False
    """The store holds an unfinished turn: the agent is working if its process lives, else was cut short."""
    is_unasked: bool = False
    """It was opened, and nothing was asked in it: there is no turn to finish."""
    is_child: bool = False
    """A subagent's session, which is not listed."""
    tokens: Tokens = Tokens()
    standing: Standing | None = None
    """Only from an adapter with Capability.REMOTE; all other sessions are judged by their processes."""


class StoreUnreadable(AdapterUnavailable):
    """Raised by `discover` for a source that exists and cannot be read, or only in part."""

    def __init__(self, message: str, *, hint: str | None = None, found: Sequence[NativeSession] = ()) -> None:
        super().__init__(message, hint=hint)
        self.found = tuple(found)
        """The sessions that could be read."""


class Adapter(Protocol):
    """The shape of an adapter. A verb that its program lacks comes from the defaults below."""

    @property
    def NAME(self) -> str: ...  # noqa: N802
    @property
    def SUMMARY(self) -> str: ...  # noqa: N802
    @property
    def PROGRAM(self) -> str | None: ...  # noqa: N802
    @property
    def INSTALL(self) -> str | None: ...  # noqa: N802
    @property
    def VERIFIED(self) -> str: ...  # noqa: N802
    @property
    def CAPABILITIES(self) -> frozenset[Capability]: ...  # noqa: N802
    @property
    def LADDER(self) -> tuple[Rung, ...]: ...  # noqa: N802
    @property
    def PROCESS_NAMES(self) -> frozenset[str]: ...  # noqa: N802
    @property
    def OPTIONS(self) -> tuple[Option, ...]: ...  # noqa: N802

    def launch_command(self, request: CommandRequest) -> Command:
        """How to start the program; pure. Raises UsageFault for a request that it cannot serve."""
        ...

    def resume_command(self, session: Session, request: CommandRequest) -> Command:
        """How to continue the conversation of `session` (`request.prompt` is the message); pure."""
        ...

    def store_path(self, environ: Mapping[str, str]) -> str | None:
        """Where the program keeps its sessions under this environment; None if nowhere."""
        ...

    def native_id(self, session: Session, log_path: str) -> str | None:
        """The program's own id of a live session, as early as possible. Reads little."""
        ...

    def listing(self, session: Session) -> Listing:
        """One keyed read of `session.store_path`; `unavailable` unless it was read completely."""
        ...

    def result(self, session: Session, log_path: str) -> Result:
        """The agent's own verdict, tokens (of this run), cost, model. Never raises on bad data."""
        ...

    def messages(self, session: Session, log_path: str) -> Iterator[Message]:
        """The conversation, oldest first, from the store or the log; for `peek`."""
        ...

    def log_messages(self, lines: Iterable[str]) -> Iterator[Message]:
        """The output log made readable, line by line; for `logs`."""
        ...

    def sources(self, store_path: str) -> Iterable[str]:
        """The store's files that hold sessions; none without a store.

        `discover` reads each file by itself, and again only once its time or size has changed.
        """
        ...

    def discover(self, source: str) -> Iterable[NativeSession]:
        """Every session of one of the `sources`; those that cannot be read are skipped.

        Raises StoreUnreadable for a source with many sessions of which none can be read.
        """
        ...

    def match(self, natives: Sequence[NativeSession], processes: Sequence[Process]) -> Mapping[str, Process]:
        """Native id → the process that is proved to run this session; `is_shared` marks a server."""
        ...

    def is_transient(self, exit_code: int, log_path: str) -> bool:
        """Whether it failed before it began, in a way that one relaunch cures."""
        ...


# Defaults. An adapter assigns one to a verb that its program lacks.


def rerun_hint(session: Session) -> str:
    """What to do with a session that cannot be resumed."""
    return f"start it again with the same prompt and options: agentctl rerun {short(session.id)}"


def no_resume(session: Session, request: CommandRequest) -> Command:
    """`resume_command` of a program without conversations."""
    raise AdapterUnavailable(
        f"adapter {session.adapter} cannot resume a session",
        hint=rerun_hint(session),
    )


def no_store(environ: Mapping[str, str]) -> str | None:
    """`store_path` of a program that keeps no sessions."""
    return None


def no_native_id(session: Session, log_path: str) -> str | None:
    """`native_id` of a program without ids of its own."""
    return None


def no_listing(session: Session) -> Listing:
    """`listing` of a program without a store."""
    return Listing.UNAVAILABLE


def no_result(session: Session, log_path: str) -> Result:
    """`result` of a program that reports only an exit code."""
    return Result()


def no_messages(session: Session, log_path: str) -> Iterator[Message]:
    """`messages` of a program without a transcript."""
    return iter(())


def plain_lines(lines: Iterable[str]) -> Iterator[Message]:
    """`log_messages` of a program that prints for people: its lines as they are."""
    return (Message(role=Role.LOG, text=line) for line in lines)


def no_sources(store_path: str) -> Iterable[str]:
    """`sources` of a program that keeps no sessions."""
    return ()


def one_source(store_path: str) -> Iterable[str]:
    """`sources` of a program that keeps all its sessions in one file."""
    return (store_path,)


def no_sessions(source: str) -> Iterable[NativeSession]:
    """`discover` of a program that keeps no sessions."""
    return ()


def no_match(natives: Sequence[NativeSession], processes: Sequence[Process]) -> Mapping[str, Process]:
    """`match` of a program whose processes cannot be told apart."""
    return {}


def never_transient(exit_code: int, log_path: str) -> bool:
    """`is_transient` of a program whose failures a relaunch does not cure."""
    return False


WITHOUT_STORE = (no_store, no_listing, no_sources, no_sessions, no_match)
"""`store_path, listing, sources, discover, match` of a program that keeps no sessions."""
