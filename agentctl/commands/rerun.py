"""`agentctl rerun`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from agentctl.commands._launching import common, launching_options, start
from agentctl.commands._options import ENDED_SESSION, pass_runtime

if TYPE_CHECKING:
    from agentctl.runtime import Runtime


@click.command("rerun")
@click.argument("session", metavar="ID", type=ENDED_SESSION)
@launching_options
@pass_runtime
def command(runtime: Runtime, /, session: str, **options: Any) -> int:
    """Launch an ended session's prompt and options again.

    A new conversation with the same adapter, directory, model, prompt and arguments. The
    values of its --env variables were not stored: they are taken from the environment now.

    \b
    Examples:
      agentctl rerun 3f2a
      TOKEN=x agentctl rerun build --wait

    \b
    Exit status:
      0   started; with --wait as `agentctl wait`
      1   it could not be started, or ended badly within --settle
      2   a variable that it had is not set now
      10  no such session
      11  it is still running, or its directory is taken
    """
    from agentctl.ops.start.rerun import rerun_request

    request = rerun_request(runtime, session, common(runtime, options))
    return start(runtime, request, wait=options["wait"], as_json=options["as_json"])
