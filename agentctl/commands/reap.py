"""`agentctl reap`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agentctl.commands import _show
from agentctl.commands._options import json_option, pass_runtime
from agentctl.errors import PartlyDone

if TYPE_CHECKING:
    from agentctl.runtime import Runtime


@click.command("reap")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing unless something could not be done.")
@json_option
@pass_runtime
def command(runtime: Runtime, quiet: bool, as_json: bool) -> None:
    """Do all work that is due; made for cron.

    Records endings, fires fuses, ends the lingering processes of stopped* sessions, runs hooks
    and posts webhooks that are due, and frees locks that have expired.

    \b
    Examples:
      agentctl reap
      */5 * * * * agentctl reap --quiet

    \b
    Exit status:
      0  all done
      3  some processes could not be ended, or deliveries failed and will be tried again
      13 the state cannot be written
    """
    from agentctl.ops.sessions.reap import reap

    runtime.delivers = True
    reaped = reap(runtime)
    left = [*(one.survivors for one in reaped.stopped), *(one.survivors for one in reaped.swept)]
    survivors = sorted({target.pid for tree in left for target in tree})
    _show.answer(
        reaped,
        as_json=as_json,
        document=lambda reaped: {
            "ended": [session.id for session in reaped.ended],
            "stopped": [one.found.session.id for one in reaped.stopped],
            "survivors": survivors,
            "delivered": reaped.delivered.done,
            "failed": reaped.delivered.failed,
        },
        text=lambda reaped: _show.note(
            f"{len(reaped.ended)} ended, {len(reaped.stopped)} stopped,"
            f" {reaped.delivered.done} delivered, {reaped.delivered.failed} deliveries failed"
        ),
        quiet=quiet,
    )
    if survivors:
        raise PartlyDone(
            f"these processes could not be ended: {', '.join(map(str, survivors))}",
            hint="ps -fp PID shows whose processes they are; the next reap tries again",
        )
    if reaped.delivered.failed:
        raise PartlyDone(
            f"{reaped.delivered.failed} deliveries of hooks or webhooks failed",
            hint="agentctl hooks list shows why; webhooks are retried later, hooks only by hooks retry",
        )
