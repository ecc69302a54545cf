"""What `launch`, `resume` and `rerun` share: their options, their answer, `--wait`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from agentctl.commands import _show
from agentctl.commands._options import COUNT_FROM_1, DURATION, DURATION_OR_ZERO, SIZE, json_option
from agentctl.core import variables
from agentctl.errors import OperationFailed

if TYPE_CHECKING:
    from agentctl.core.model import Session
    from agentctl.ops.start.launch import Launched
    from agentctl.ops.start.plan import LaunchRequest, StartOptions
    from agentctl.ops.start.prompt import ContextRequest
    from agentctl.runtime import Runtime

F = TypeVar("F", bound=Callable[..., Any])

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_SHELL_OWNED = frozenset(
    {"BASHOPTS", "BASH_VERSINFO", "EUID", "IFS", "LINENO", "OPTIND", "PPID", "PWD", "SHELLOPTS", "UID"}
)
"""Names that a shell keeps for itself, or that are set from --cwd."""

_OURS = (variables.SESSION_ID, variables.SHIM, variables.SET)
"""Beginnings of names that are agentctl's own to set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedOptions:
    """What every command that starts an agent is given, as Click delivers it."""

    name: str | None
    fuse: timedelta | None
    no_fuse: bool
    fuse_warn: timedelta | None
    env: tuple[str, ...]
    on_create: str | None
    on_complete: str | None
    on_fuse_warn: str | None
    callback_session: str | None
    callback_agent: str | None
    force: bool
    settle: timedelta | None
    wait: bool
    as_json: bool

    def start_options(self, runtime: Runtime) -> StartOptions:
        """The same, checked, for the operation."""
        from agentctl.ops.start.plan import StartOptions

        if self.fuse is not None and self.no_fuse:
            raise click.UsageError("--fuse and --no-fuse exclude each other.")
        if self.fuse_warn is not None and self.no_fuse:
            raise click.UsageError("--fuse-warn needs a fuse; --no-fuse sets none.")
        if self.name is not None:
            check_name(self.name)
        hooks = {
            "on_create": self.on_create,
            "on_complete": self.on_complete,
            "on_fuse_warn": self.on_fuse_warn,
        }
        # The keys are those that receivers of webhooks know from the TypeScript agentctl.
        meta = {
            "openclaw_callback_session_key": self.callback_session,
            "openclaw_callback_agent_id": self.callback_agent,
        }
        return StartOptions(
            name=self.name,
            fuse=self.fuse,
            no_fuse=self.no_fuse,
            fuse_warn=self.fuse_warn,
            env=parse_env(self.env),
            force=self.force,
            hooks={name: command for name, command in hooks.items() if command is not None},
            meta={key: value for key, value in meta.items() if value is not None},
            settle=runtime.settings.settle if self.settle is None else self.settle,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextOptions:
    """The files and the issue for a prompt, as Click delivers them."""

    spec: str | None
    files: tuple[str, ...]
    max_file_size: int | None
    issue: int | None
    repo: str | None

    def request(self, spec: str | None) -> ContextRequest:
        """The same, checked; `spec` is the one of a matrix file, which --spec beats."""
        from agentctl.ops.start.prompt import MAX_FILE_SIZE, ContextRequest

        if self.repo is not None and self.issue is None:
            raise click.UsageError("--repo says where an issue is: it needs --issue.")
        if self.repo is not None and (not _REPOSITORY.fullmatch(self.repo) or self.repo.startswith("-")):
            raise click.UsageError(f"--repo {self.repo}: give it as OWNER/NAME.")
        if self.max_file_size is not None and self.spec is None and not self.files:
            raise click.UsageError("--max-file-size needs --spec or --file.")
        return ContextRequest(
            spec=spec if self.spec is None else self.spec,
            files=self.files,
            issue=self.issue,
            repo=self.repo,
            max_file_size=MAX_FILE_SIZE if self.max_file_size is None else self.max_file_size,
        )


_SHARED = (
    click.option("--name", help="A name for the session; unique among live sessions."),
    click.option("--fuse", type=DURATION, help="Stop the session after this long.  [default: never]"),
    click.option("--no-fuse", is_flag=True, help="Set no deadline, not even the 4 h one that stops nothing."),
    click.option("--fuse-warn", type=DURATION, help="Run the on-fuse-warn hook this long before the fuse."),
    click.option("--env", metavar="K=V", multiple=True, help="Set a variable for the agent; repeatable."),
    click.option("--on-create", metavar="CMD", help="Run this before the agent; a failure prevents it."),
    click.option("--on-complete", metavar="CMD", help="Run this once when the session has ended."),
    click.option("--on-fuse-warn", metavar="CMD", help="Run this when the fuse is about to blow."),
    click.option("--callback-session", metavar="KEY", help="Session that webhooks name for the answer."),
    click.option("--callback-agent", metavar="ID", help="Agent that webhooks name for the answer."),
    click.option("--force", is_flag=True, help="Start even if the directory is in use or locked."),
    click.option(
        "--settle",
        type=DURATION_OR_ZERO,
        help="How long to watch for an early failure; 0s for not at all.  [default: 1s]",
    ),
    click.option("--wait", is_flag=True, help="Wait for the session to end; exit as `agentctl wait` does."),
    json_option,
)

_CONTEXT = (
    click.option("--spec", type=click.Path(), help="Put this file before the prompt, as the specification."),
    click.option("--file", "files", type=click.Path(), multiple=True, help="Add this file; repeatable."),
    click.option("--max-file-size", type=SIZE, help="Largest such file.  [default: 50KiB]"),
    click.option("--issue", type=COUNT_FROM_1, help="Add this GitHub issue, read with gh."),
    click.option("--repo", metavar="OWNER/NAME", help="The issue's repository.  [default: the directory's]"),
)

_REPOSITORY = re.compile(r"(?:[\w.-]+/)?[\w.-]+/[\w.-]+", re.ASCII)


def context_options(command: F) -> F:
    """The options that add text of files and issues to a prompt; the command gets them as `context`."""
    return _gathered(command, _CONTEXT, ContextOptions, "context")


def shared_options(command: F) -> F:
    """The options of every way to start an agent; the command gets them as `shared`."""
    return _gathered(command, _SHARED, SharedOptions, "shared")


def _gathered(
    command: F, options: Sequence[Callable[[F], F]], kind: type[ContextOptions | SharedOptions], into: str
) -> F:
    """Add the options to a command, which gets their values as one argument of type `kind`."""
    names = [field.name for field in fields(kind)]

    def gather(**values: Any) -> Any:
        return command(**{into: kind(**{name: values.pop(name) for name in names})}, **values)

    wrapped = cast("F", update_wrapper(gather, command))
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def check_name(name: str) -> None:
    """Refuse a name that a shell or a table cannot carry."""
    if name.startswith("~") or "/" in name or name in (".", ".."):
        raise click.UsageError("--name must not look like a path: no '/', no leading '~', not '.' or '..'.")
    if not name.strip() or name.startswith("-") or not name.isprintable() or len(name) > 100:
        raise click.UsageError("--name must be 1 to 100 printable characters and must not begin with '-'.")


def parse_env(pairs: Sequence[str]) -> dict[str, str]:
    """`K=V` words as a mapping."""
    environ: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise click.UsageError(f"--env {pair}: no '='; give it as NAME=VALUE.")
        if not _NAME.fullmatch(name):
            raise click.UsageError(f"--env {pair}: a name has letters, digits and '_', and no digit first.")
        if name in _SHELL_OWNED or name.startswith(_OURS):
            raise click.UsageError(f"--env {name}: this name cannot be set for an agent.")
        environ[name] = value
    return environ


def read_prompt(path: str, what: str) -> str:
    """The prompt in a file, or any bytes from standard input for `-`; a person knows it as a `what`."""
    if path != "-":
        from agentctl.ops.start import prompt

        return prompt.read_prompt(path)
    if sys.stdin.isatty():
        _show.note(f"reading the {what} from standard input; end it with ctrl-D")
    try:
        raw = sys.stdin.buffer.read()
    except OSError as error:
        raise click.UsageError(f"standard input cannot be read: {error.strerror}.") from error
    return raw.decode("utf-8", "surrogateescape")


def start(runtime: Runtime, request: LaunchRequest, *, wait: bool, as_json: bool) -> int:
    """Launch, print the id (or the document), and wait if asked to; the exit code."""
    from agentctl.ops.start.launch import launch

    launched = launch(runtime, request)
    for note in launched.notes:
        _show.note(note)
    if not wait:
        _answer(runtime, launched, as_json=as_json)
        return 0
    return _wait(runtime, launched, as_json=as_json)


def _answer(runtime: Runtime, launched: Launched, *, as_json: bool) -> None:
    from agentctl.ops.sessions.find import find_one

    _show.answer(
        launched.session,
        as_json=as_json,
        document=lambda session: _show.sessions_fields(runtime, [find_one(runtime, session.id)]),
        text=_tell,
    )


def _tell(session: Session) -> None:
    print_id(session.id)
    if sys.stderr.isatty():
        _show.note(
            f"started {session.adapter} in {session.cwd}; agentctl logs -f {session.id[:8]} follows it"
        )


def print_id(session_id: str) -> None:
    """Print the id at once; if it cannot be written, the error names it: the agent is running."""
    try:
        click.echo(session_id)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OperationFailed(
            f"session {session_id} was started, but its id cannot be written: {error.strerror}",
            hint=f"agentctl stop {session_id[:8]} ends it",
        ) from error


def _wait(runtime: Runtime, launched: Launched, *, as_json: bool) -> int:
    from agentctl.ops.sessions.find import find_one
    from agentctl.ops.sessions.wait import wait

    if not as_json:
        print_id(launched.session.id)
    waited = wait(runtime, [find_one(runtime, launched.session.id)])
    _show.answer(
        waited.found,
        as_json=as_json,
        document=partial(_show.sessions_fields, runtime),
        text=lambda found: _show.outcome(found[0]),
    )
    return waited.exit_code
