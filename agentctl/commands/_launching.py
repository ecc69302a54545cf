"""What `launch`, `resume` and `rerun` share: their options, their answer, `--wait`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from agentctl.commands import _show
from agentctl.commands._options import COUNT_FROM_1, DURATION, DURATION_OR_ZERO, SIZE, json_option
from agentctl.core import variables
from agentctl.errors import OperationFailed

if TYPE_CHECKING:
    from agentctl.ops.start.launch import Launched
    from agentctl.ops.start.plan import LaunchRequest
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

_OPTIONS = (
    click.option("--name", help="A name to call it by; unique among live sessions."),
    click.option("--fuse", type=DURATION, help="Stop it after this long. Without: never; see --no-fuse."),
    click.option("--no-fuse", is_flag=True, help="No deadline at all, not even the 4 h that only vouch."),
    click.option("--fuse-warn", type=DURATION, help="Run the on-fuse-warn hook this long before the fuse."),
    click.option("--env", "env", metavar="K=V", multiple=True, help="A variable for the agent; repeatable."),
    click.option("--on-create", metavar="CMD", help="Run before the agent starts; a failure prevents it."),
    click.option("--on-complete", metavar="CMD", help="Run once when the session has ended."),
    click.option("--on-fuse-warn", metavar="CMD", help="Run when the fuse is about to blow."),
    click.option("--callback-session", metavar="KEY", help="Session that webhooks name for the answer."),
    click.option("--callback-agent", metavar="ID", help="Agent that webhooks name for the answer."),
    click.option("--force", is_flag=True, help="Start although somebody holds the directory."),
    click.option(
        "--settle",
        type=DURATION_OR_ZERO,
        help="How long to watch for an early failure; 0s for not at all.  [default: 1s]",
    ),
    click.option("--wait", "wait", is_flag=True, help="Wait for its end; exit as `agentctl wait` does."),
    json_option,
)

_CALLBACKS = {
    "callback_session": "openclaw_callback_session_key",
    "callback_agent": "openclaw_callback_agent_id",
}
"""Option → its key in the `meta` of a webhook, as receivers know it from the TypeScript agentctl."""

_CONTEXT_OPTIONS = (
    click.option("--spec", type=click.Path(), help="Put this file before the prompt, as the specification."),
    click.option("--file", "files", type=click.Path(), multiple=True, help="Put this file in; repeatable."),
    click.option("--max-file-size", type=SIZE, help="Largest such file.  [default: 50KiB]"),
    click.option("--issue", type=COUNT_FROM_1, help="Put this issue of GitHub in, read with gh."),
    click.option("--repo", metavar="OWNER/NAME", help="The issue's repository.  [default: the directory's]"),
)

_REPOSITORY = re.compile(r"(?:[\w.-]+/)?[\w.-]+/[\w.-]+", re.ASCII)


def context_options(command: F) -> F:
    """The options that put text of files and issues into a prompt; `context_of` reads them."""
    for option in reversed(_CONTEXT_OPTIONS):
        command = option(command)
    return command


def context_of(options: Mapping[str, Any], *, spec: str | None = None) -> ContextRequest:
    """What is to go into the prompt, as a request of its own; --spec beats the `spec` of a matrix file."""
    from agentctl.ops.start.prompt import MAX_FILE_SIZE, ContextRequest

    repo, size = options["repo"], options["max_file_size"]
    if repo is not None and options["issue"] is None:
        raise click.UsageError("--repo says where an issue is: it needs --issue.")
    if repo is not None and (not _REPOSITORY.fullmatch(repo) or repo.startswith("-")):
        raise click.UsageError(f"--repo {repo}: give it as OWNER/NAME.")
    if size is not None and options["spec"] is None and not options["files"]:
        raise click.UsageError("--max-file-size needs --spec or --file.")
    return ContextRequest(
        spec=spec if options["spec"] is None else options["spec"],
        files=tuple(options["files"]),
        issue=options["issue"],
        repo=repo,
        max_file_size=MAX_FILE_SIZE if size is None else size,
    )


def launching_options(command: F) -> F:
    """The options that every way of starting an agent has."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def common(runtime: Runtime, options: Mapping[str, Any]) -> dict[str, Any]:
    """The shared options as fields of a LaunchRequest."""
    if options["fuse"] is not None and options["no_fuse"]:
        raise click.UsageError("--fuse and --no-fuse exclude each other.")
    if options["fuse_warn"] is not None and options["no_fuse"]:
        raise click.UsageError("--fuse-warn needs a fuse; --no-fuse sets none.")
    if options["name"] is not None:
        check_name(options["name"])
    hooks = {name: options[name] for name in ("on_create", "on_complete", "on_fuse_warn") if options[name]}
    settle = options["settle"]
    meta = {name: options[option] for option, name in _CALLBACKS.items() if options[option]}
    return {
        "name": options["name"],
        "fuse": options["fuse"],
        "no_fuse": options["no_fuse"],
        "fuse_warn": options["fuse_warn"],
        "env": parse_env(options["env"]),
        "force": options["force"],
        "hooks": hooks,
        "meta": meta,
        "settle": runtime.settings.settle if settle is None else settle,
    }


def check_name(name: str) -> None:
    """A name must be one that a shell and a table can carry."""
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


def read_text(path: str) -> str:
    """A prompt from a file, or from standard input for `-`; bytes that are no text are kept."""
    try:
        if path == "-":
            raw = sys.stdin.buffer.read()
        else:
            with open(path, "rb") as file:
                raw = file.read()
    except OSError as error:
        raise click.UsageError(f"prompt file {path}: {error.strerror}.") from error
    return raw.decode("utf-8", "surrogateescape")


def start(runtime: Runtime, request: LaunchRequest, *, wait: bool, as_json: bool) -> int:
    """Launch, print the id (or the document), and wait if that was asked for; the exit code."""
    from agentctl.ops.start.launch import launch

    launched = launch(runtime, request)
    for note in (*launched.notes, *runtime.notices):
        _show.note(note)
    if not wait:
        _answer(runtime, launched, as_json=as_json)
        return 0
    return _wait(runtime, launched, as_json=as_json)


def _answer(runtime: Runtime, launched: Launched, *, as_json: bool) -> None:
    from agentctl.ops.sessions.find import find_one

    session = launched.session
    if as_json:
        click.echo(_show.sessions_document(runtime, [find_one(runtime, session.id)]))
        return
    print_id(session.id)
    if sys.stderr.isatty():
        _show.note(
            f"started {session.adapter} in {session.cwd}; agentctl logs -f {session.id[:8]} follows it"
        )


def print_id(session_id: str) -> None:
    """The id at once; if it cannot be written, it is named in the error: the agent is at work."""
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
    one = waited.found[0]
    if as_json:
        click.echo(_show.sessions_document(runtime, waited.found))
    else:
        _show.note(f"session {one.session.id[:8]} {one.session.outcome or one.status}: {one.reason}")
    return waited.exit_code
