"""The command line: a table of commands, and the one place where errors become exit codes.

Imports no module of agentctl at module level, so that `--help`, `--version` and completion
cost what Click costs. Must not know what any command does.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from agentctl import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "agentctl"
COMPLETE_VARIABLE = "_AGENTCTL_COMPLETE"

SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Sessions": {
        "launch": ("agentctl.commands.launch", "Start an agent in the background and print its id."),
        "list": ("agentctl.commands.list", "List live sessions, newest first."),
        "status": ("agentctl.commands.status", "Show one or more sessions in detail."),
        "why": ("agentctl.commands.why", "Show the evidence behind a session's status."),
        "peek": ("agentctl.commands.peek", "Show the latest messages of an agent."),
        "logs": ("agentctl.commands.logs", "Print or follow the output of a session."),
        "wait": ("agentctl.commands.wait", "Wait for sessions to end."),
        "compare": ("agentctl.commands.compare", "Compare the sessions of one group."),
        "stop": ("agentctl.commands.stop", "Stop sessions, gently first."),
        "resume": ("agentctl.commands.resume", "Continue a finished conversation."),
        "rerun": ("agentctl.commands.rerun", "Launch a finished session's prompt and options again."),
    },
    "Directories and deadlines": {
        "fuse": ("agentctl.commands.fuse", "List, set, extend and cancel deadlines."),
        "lock": ("agentctl.commands.lock", "Reserve a directory so that no agent starts in it."),
        "unlock": ("agentctl.commands.unlock", "Release a reserved directory."),
        "locks": ("agentctl.commands.locks", "List reserved directories and their holders."),
    },
    "Worktrees": {
        "worktree": ("agentctl.commands.worktree", "List, remove and restore agents' worktrees."),
    },
    "Events and hooks": {
        "events": ("agentctl.commands.events", "Print or follow events."),
        "hooks": ("agentctl.commands.hooks", "List and retry deliveries of hooks and webhooks."),
        "metrics": ("agentctl.commands.metrics", "Print metrics in the Prometheus text format."),
    },
    "Upkeep": {
        "reap": ("agentctl.commands.reap", "Do all work that is due; made for cron."),
        "prune": ("agentctl.commands.prune", "Delete finished sessions and their files."),
    },
    "Setup": {
        "adapters": ("agentctl.commands.adapters", "List adapters and their capabilities."),
        "doctor": ("agentctl.commands.doctor", "Check the installation and repair the state."),
        "config": ("agentctl.commands.config", "Show and change settings."),
        "import": ("agentctl.commands.import_", "Import from the TypeScript agentctl."),
        "completion": ("agentctl.commands.completion", "Print a completion script for your shell."),
    },
}
"""Section → command → (module, short help), in the order of `--help`. A module's `command` is the command."""

COMMANDS: dict[str, tuple[str, str]] = {
    name: entry for commands in SECTIONS.values() for name, entry in commands.items()
}

ALIASES: dict[str, tuple[str, str]] = {
    "ls": ("agentctl.commands.list", "list"),
    "ps": ("agentctl.commands.list", "list"),
    "fuses": ("agentctl.commands.fuse:fuses_command", "fuse list"),
}
"""Other names that people try → (module, what it is short for): documented, not listed, not completed."""

EXAMPLES = (
    'agentctl launch opencode -p "Make the tests pass" --fuse 1h',
    "agentctl list",
    'id=$(agentctl launch exec -- make check) && agentctl wait "$id"',
    "agentctl COMMAND --help",
)

EXIT_STATUS: dict[str, str] = {
    "0": "done, or nothing to show",
    "1": "tried and failed",
    "2": "usage error",
    "3": "partly done",
    "10": "no such object, or an ambiguous name",
    "11": "held by somebody else, or still running",
    "12": "adapter or program unavailable",
    "13": "the state cannot be read or written",
    "70": "a bug in agentctl",
    "124": "timed out",
    "130": "interrupted",
}

HIDDEN: dict[str, str] = {
    "generate": "agentctl.commands.generate",
    "daemon": "agentctl.commands.daemon",
    "_finalise": "agentctl.commands.internal:finalise",
    "_tick": "agentctl.commands.internal:tick",
    "_sweep": "agentctl.commands.internal:sweep",
    "_deliver": "agentctl.commands.internal:deliver",
}
"""For packagers, agentctl itself and scripts of its predecessor: in no listing. `module` or
`module:attribute`."""


class Root(click.Group):
    """A group that answers from the tables above, and imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        target = _target(cmd_name)
        if target is None:
            return None
        from importlib import import_module

        module, _, attribute = target.partition(":")
        command: click.Command = getattr(import_module(module), attribute or "command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, (_, text) in commands.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Aliases"):
            formatter.write_dl([(alias, target) for alias, (_, target) in ALIASES.items()])
        with formatter.section("Examples"):
            for line in EXAMPLES:
                formatter.write(f"{' ' * formatter.current_indent}{line}\n")
        with formatter.section("Exit status"):
            formatter.write_dl(list(EXIT_STATUS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        found: list[Any] = [
            CompletionItem(name, help=text)
            for name, (_, text) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        # Past Group, whose own method would import every command for its help.
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def main(self, args: Sequence[str] | None = None, *_: Any, **extra: Any) -> Any:
        """Click's entry point, which CliRunner calls: the same errors, the same exit codes."""
        sys.exit(main(args, obj=extra.get("obj")))


def _target(name: str) -> str | None:
    """Where the command of this name is: `module` or `module:attribute`."""
    entry = COMMANDS.get(name) or ALIASES.get(name)
    return entry[0] if entry else HIDDEN.get(name)


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
def root() -> None:
    """Supervise coding agents from any shell, without a daemon.

    Launch agents as detached processes; look at them, wait for them, stop or resume them
    from any shell, script or cron job. Each command checks the processes before it answers.
    """


def main(argv: Sequence[str] | None = None, *, obj: object = None) -> int:
    """Run one command line; the exit code. `obj` is the Runtime to use in place of the real one."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        _prepare_streams()
        try:
            code = _run(arguments, obj)
        except (KeyboardInterrupt, click.Abort):
            code = _interrupted()
        except Exception as error:
            code = _failed(error, arguments)
        return _flushed(code, arguments)
    except KeyboardInterrupt:
        return 130


def _run(arguments: list[str], obj: object) -> int:
    """Complete or invoke; what a command returns is its exit code, if it is an integer."""
    instruction = os.environ.get(COMPLETE_VARIABLE)
    if instruction:
        return _complete(instruction)
    try:
        with root.make_context(PROGRAM, arguments.copy(), obj=obj) as context:
            value = root.invoke(context)
    except click.exceptions.Exit as leave:
        return leave.exit_code
    return value if type(value) is int else 0


def _complete(instruction: str) -> int:
    from click.shell_completion import shell_complete

    try:
        return shell_complete(root, {}, PROGRAM, COMPLETE_VARIABLE, instruction)
    except Exception:
        # A half-typed line can be anything. A message here would land in the middle of the prompt.
        return 1


def _failed(error: Exception, arguments: Sequence[str]) -> int:
    from agentctl import failures

    # The command alone goes into a log: other arguments may hold prompts and the values of --env.
    command = next((word for word in arguments if word in COMMANDS or word in HIDDEN), "-")
    return failures.report(error, command=command, as_json=_wants_json(arguments))


def _flushed(code: int, arguments: Sequence[str]) -> int:
    """`code`, once everything printed has left; output that could not be written is a failure."""
    try:
        if sys.stdout is not None and not sys.stdout.closed:
            sys.stdout.flush()
    except OSError as error:
        from agentctl import failures

        return failures.output_lost(error, code=code, as_json=_wants_json(arguments))
    return code


def _wants_json(arguments: Sequence[str]) -> bool:
    """--json was asked for. Read from the words themselves: they may be what cannot be parsed."""
    ours = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in ours


def _interrupted() -> int:
    if sys.stderr is not None and sys.stderr.isatty():
        click.echo(err=True)  # the terminal has echoed ^C without a line end
    return 130


def _prepare_streams() -> None:
    """Make all output printable, and keep descriptors 0, 1 and 2 open, whatever started us."""
    import codecs

    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # Otherwise the next file opened gets this number, and prints go into the database.
            os.open(os.devnull, os.O_RDWR)
    # Python has no stream for a descriptor that was closed when it began.
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115  # as long as the process
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    codecs.register_error("agentctl", _encode_anyhow)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace" if stream.isatty() else "agentctl")


def _encode_anyhow(error: UnicodeError) -> tuple[bytes, int]:
    """Bytes that were not text (a path, an argument) as they were; other characters as escapes."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    raw = bytearray()
    for char in error.object[error.start : error.end]:
        byte = ord(char) - 0xDC00
        raw += bytes([byte]) if 0x80 <= byte <= 0xFF else char.encode("ascii", "backslashreplace")
    return bytes(raw), error.end
