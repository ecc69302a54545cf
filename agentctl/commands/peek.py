"""`agentctl peek`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agentctl.commands import _show
from agentctl.commands._options import ANY_SESSION, COUNT_FROM_0, adapter_option, json_option, pass_runtime

if TYPE_CHECKING:
    from agentctl.core.model import Session
    from agentctl.ops.sessions.peek import Conversation
    from agentctl.runtime import Runtime

SEPARATOR = "---"


@click.command("peek")
@click.argument("session", metavar="ID", type=ANY_SESSION)
@click.option(
    "-n",
    "--messages",
    "--lines",
    "count",
    type=COUNT_FROM_0,
    metavar="N",
    help="Show the last N messages.  [default: peek.messages, 20]",
)
@adapter_option
@json_option
@pass_runtime
def command(runtime: Runtime, session: str, count: int | None, adapter: str | None, as_json: bool) -> None:
    """Show the latest messages of an agent.

    ID is a session id, the beginning of one, a session's name, or the agent's own id. The
    oldest message comes first, and a line of dashes separates the messages; prompts and tool
    calls are not shown. For an adapter without conversations (exec), peek shows the output.

    \b
    Examples:
      agentctl peek 3f2a
      agentctl peek -n 1 my-run
      agentctl peek --json 3f2a | jq -r '.messages[-1].text'

    \b
    Exit status:
      0   shown, or nothing to show yet
      2   usage error
      10  no such session, or more than one
    """
    from agentctl.ops.sessions.find import find_one
    from agentctl.ops.sessions.peek import conversation

    count = runtime.usual.peek_messages if count is None else count
    found = find_one(runtime, session, adapter=adapter).session
    said = conversation(runtime, found, count)
    _show.answer(
        said,
        as_json=as_json,
        document=lambda said: {
            "session_id": found.id,
            "messages": [one._asdict() for one in said.messages],
            "note": said.note,
        },
        text=lambda said: _text(said, found, wanted=count),
    )


def _text(said: Conversation, session: Session, *, wanted: int) -> str:
    """Messages of several lines are set apart; lines of a log are not."""
    from agentctl.ops.sessions.logs import readable

    if said.note is not None:
        _show.note(said.note)
    if not said.messages and wanted:
        when = "" if session.is_final else " yet"
        _show.note(f"no messages{when}; agentctl logs {session.id[:8]} shows everything it printed")
    lines: list[str] = []
    for message in said.messages:
        if lines and said.note is None:
            lines.append(SEPARATOR)
        lines += readable([message])
    return "\n".join(lines)
