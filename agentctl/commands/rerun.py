"""`agentctl rerun`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agentctl.commands._launching import SharedOptions, shared_options, start
from agentctl.commands._options import ENDED_SESSION, pass_runtime

if TYPE_CHECKING:
    from agentctl.runtime import Runtime


@click.command("rerun")
@click.argument("session", metavar="ID", type=ENDED_SESSION)
@shared_options
@pass_runtime
def command(runtime: Runtime, /, *, session: str, shared: SharedOptions) -> int:
    """Launch a finished session's prompt and options again.

    Start a new conversation with the same adapter, directory, model, prompt and arguments.
    The values of --env variables are not stored: they are taken from the environment now.

    \b
    Examples:
      agentctl rerun 3f2a
      TOKEN=x agentctl rerun build --wait

    \b
    Exit status:
      0   started; with --wait as `agentctl wait`
      1   it could not be started, or ended badly within --settle
      2   a variable of the old session is not set now
      10  no such session
      11  the session is still running, or its directory is taken
    """
    from agentctl.ops.start.rerun import rerun_request

    request = rerun_request(runtime, session, shared.start_options(runtime))
    return start(runtime, request, wait=shared.wait, as_json=shared.as_json)
