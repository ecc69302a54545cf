"""`agentctl status`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from agentctl.commands import _show
from agentctl.commands._options import ANY_SESSION, adapter_option, json_option, pass_runtime, quiet_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentctl.ops.found import Found
    from agentctl.runtime import Runtime


@click.command("status")
@click.argument("sessions", metavar="ID...", nargs=-1, required=True, type=ANY_SESSION)
@adapter_option
@quiet_option
@json_option
@pass_runtime
def command(
    runtime: Runtime, sessions: tuple[str, ...], adapter: str | None, quiet: bool, as_json: bool
) -> None:
    """Show one or more sessions in detail.

    ID is a session id, the beginning of one, a session's name, or the agent's own id.

    \b
    Examples:
      agentctl status 3f2a
      agentctl status --json my-run

    \b
    Exit status:
      0   shown
      10  no such session, or more than one
    """
    from agentctl.ops.sessions.find import find_all
    from agentctl.ops.sessions.status import refreshed

    found = [refreshed(runtime, one) for one in find_all(runtime, sessions, adapter=adapter)]
    _show.answer(
        found,
        as_json=as_json,
        document=partial(_show.sessions_fields, runtime),
        text=partial(_show.session_records, runtime),
        quiet=quiet,
        ids=lambda found: [one.session.id for one in found],
        typescript=_typescript if as_json and runtime.usual.compat else None,
    )


def _typescript(found: Sequence[Found]) -> object:
    from agentctl.typescript import session_fields

    shown = [session_fields(one.session, one.status) for one in found]
    return shown[0] if len(shown) == 1 else shown
