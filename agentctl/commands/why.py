"""`agentctl why`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from agentctl.commands import _show
from agentctl.commands._options import ANY_SESSION, json_option, pass_runtime

if TYPE_CHECKING:
    from agentctl.ops.sessions.why import Explanation
    from agentctl.runtime import Runtime


@click.command("why")
@click.argument("session", metavar="ID", type=ANY_SESSION)
@json_option
@pass_runtime
def command(runtime: Runtime, session: str, as_json: bool) -> None:
    """Show the evidence behind a session's status.

    Looks again at the liveness lock, the process, the exit file and the agent's own store,
    and says which rule decided.

    \b
    Examples:
      agentctl why 3f2a
      agentctl why --json my-run

    \b
    Exit status:
      0   shown
      10  no such session, or more than one
    """
    from agentctl.ops.sessions.find import find_one
    from agentctl.ops.sessions.why import explain
    from agentctl.render import record

    _show.answer(
        _facts(explain(runtime, find_one(runtime, session))),
        as_json=as_json,
        document=lambda facts: facts,
        text=lambda facts: record((key.replace("_", " "), value) for key, value in facts.items()),
    )


def _facts(one: Explanation) -> Mapping[str, object]:
    from agentctl.documents import timestamp

    session, seen = one.found.session, one.seen
    facts: dict[str, object] = {
        "id": session.id,
        "status": one.found.status.value,
        "outcome": session.outcome,
        "reason": one.found.reason,
        "rule": one.found.verdict.rule or None,
        "looked_at": timestamp(one.at),
    }
    if seen is not None:
        fuse = one.found.fuse
        facts |= {
            "evidence": seen.evidence,
            "liveness": seen.liveness.value,
            "supervised": seen.supervised,
            "exit_file": None if seen.exit is None else f"code {seen.exit.code} at {timestamp(seen.exit.at)}",
            "store_listing": seen.listing.value,
            "store_path": session.store_path,
            "native_id": session.native_id,
            "agent_verdict": seen.result.verdict.value,
            "started_at": timestamp(session.started_at),
            "fuse": None
            if fuse is None
            else f"{fuse.state}, action {fuse.action}, {timestamp(fuse.deadline)}",
            "stop_cause": session.stop_cause.value,
        }
    return facts
