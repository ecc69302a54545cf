"""`agentctl resume`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from agentctl.commands._launching import common, launching_options, read_text, start
from agentctl.commands._options import ENDED_SESSION, pass_runtime

if TYPE_CHECKING:
    from agentctl.runtime import Runtime


@click.command("resume")
@click.argument("session", metavar="ID", type=ENDED_SESSION)
@click.argument("message", metavar="MESSAGE", required=False)
@click.option(
    "--prompt-file", type=click.Path(), help="Read the message from this file; - is standard input."
)
@click.option("--model", help="Another model than before.")
@launching_options
@pass_runtime
def command(
    runtime: Runtime,
    /,
    session: str,
    message: str | None,
    prompt_file: str | None,
    model: str | None,
    **options: Any,
) -> int:
    """Go on with an ended session's conversation.

    Starts a new session in the same directory whose agent knows what was said before. MESSAGE
    - reads it from standard input. Refused while the old one is still running.

    \b
    Examples:
      agentctl resume 3f2a "Now add tests"
      agentctl resume build --prompt-file review.md --wait

    \b
    Exit status:
      0   started; with --wait as `agentctl wait`
      1   it could not be started, or ended badly within --settle
      10  no such session
      11  it is still running, or its directory is taken
      12  its adapter cannot resume
    """
    from agentctl.ops.start.resume import resume_request

    if (message is None) == (prompt_file is None):
        raise click.UsageError("give the message once: as MESSAGE or with --prompt-file.")
    text = read_text(prompt_file) if prompt_file is not None else message or ""
    if message == "-":
        text = read_text("-")
    request = resume_request(runtime, session, text, model, common(runtime, options))
    return start(runtime, request, wait=options["wait"], as_json=options["as_json"])
