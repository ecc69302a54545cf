"""`agentctl logs`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from agentctl.commands._options import ANY_SESSION, COUNT_FROM_0, adapter_option, json_option, pass_runtime
from agentctl.streams import has_no_reader

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentctl.core.model import Session
    from agentctl.runtime import Runtime


@click.command("logs")
@click.argument("session", metavar="ID", type=ANY_SESSION)
@click.option(
    "-n",
    "--lines",
    "count",
    type=COUNT_FROM_0,
    metavar="N",
    help="Begin with the last N lines (with --json: entries).  [default: logs.lines, 50]",
)
@click.option("-f", "--follow", is_flag=True, help="Keep printing until the session has ended.")
@click.option("--raw", is_flag=True, help="Print the log exactly as the agent wrote it.")
@adapter_option
@json_option
@pass_runtime
def command(
    runtime: Runtime,
    session: str,
    count: int | None,
    follow: bool,
    raw: bool,
    adapter: str | None,
    as_json: bool,
) -> None:
    """Print or follow the output of a session.

    ID is a session id, the beginning of one, a session's name, or the agent's own id. Output
    that an agent writes for programs is made readable, and control sequences are removed;
    --raw prints everything unchanged. The output includes standard error.

    With --json and --follow, every entry is a document on its own line. For a session that
    agentctl did not launch, logs shows the transcript.

    \b
    Examples:
      agentctl logs 3f2a
      agentctl logs -f -n 0 my-run
      agentctl logs --raw -n 1000 3f2a | less -R

    \b
    Exit status:
      0    printed; with --follow, the session has ended
      2    usage error; --follow or --raw for a session without a log
      10   no such session, or more than one
      130  interrupted
    """
    from agentctl.errors import UsageFault
    from agentctl.ops.sessions.find import find_one

    if raw and as_json:
        raise UsageFault("--raw and --json cannot be used together", hint="choose one of them")
    count = runtime.usual.logs_lines if count is None else count
    found = find_one(runtime, session, adapter=adapter).session
    until = _until(runtime, found) if follow else None
    if raw:
        _print_bytes(runtime, found, count, until)
    elif as_json:
        _print_json(runtime, found, count, until)
    else:
        _print_lines(runtime, found, count, until)


def _print_bytes(runtime: Runtime, session: Session, count: int, until: Callable[[], bool] | None) -> None:
    import sys

    from agentctl.ops.sessions.logs import raw_output

    for chunk in raw_output(runtime, session, count, until):
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()


def _print_json(runtime: Runtime, session: Session, count: int, until: Callable[[], bool] | None) -> None:
    from agentctl.documents import document
    from agentctl.ops.sessions.logs import shown_messages

    messages = shown_messages(runtime, session, count, until)
    if until is None:
        click.echo(document(session_id=session.id, messages=[one._asdict() for one in messages]))
        return
    for message in messages:
        click.echo(
            document(
                session_id=session.id,
                role=message.role,
                text=message.text,
                at=message.at,
                tool=message.tool,
            )
        )


def _print_lines(runtime: Runtime, session: Session, count: int, until: Callable[[], bool] | None) -> None:
    from agentctl.ops.sessions.logs import shown_lines

    for line in shown_lines(runtime, session, count, until):
        click.echo(line)


def _until(runtime: Runtime, session: Session) -> Callable[[], bool]:
    """The session has ended, or whoever reads our output has gone: nobody waits for a silent agent then."""
    from agentctl.ops.sessions.logs import is_over

    over = is_over(runtime, session)
    return lambda: over() or has_no_reader(sys.stdout)
