"""`agentctl resume`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agentctl.commands._launching import SharedOptions, read_prompt, shared_options, start
from agentctl.commands._options import ENDED_SESSION, adapter_option, pass_runtime

if TYPE_CHECKING:
    from agentctl.runtime import Runtime


GIVEN_ONCE = "give the message once: as MESSAGE or with --prompt-file."


@click.command("resume")
@click.argument("session", metavar="ID", type=ENDED_SESSION)
@click.argument("message", metavar="MESSAGE", required=False)
@click.option(
    "--prompt-file", type=click.Path(), help="Read the message from this file; - is standard input."
)
@click.option("--model", help="Use another model than before.")
@adapter_option
@shared_options
@pass_runtime
def command(
    runtime: Runtime,
    /,
    *,
    session: str,
    message: str | None,
    prompt_file: str | None,
    model: str | None,
    adapter: str | None,
    shared: SharedOptions,
) -> int:
    """Continue a finished conversation.

    Start a new session in the same directory, whose agent knows what was said before. The
    MESSAGE - is read from standard input. Refused while the old session is still running.
    Without a message only a session of Claude Code can continue in which a hook has put off a
    call of a tool.

    \b
    Examples:
      agentctl resume 3f2a "Now add tests"
      agentctl resume build --prompt-file review.md --wait

    \b
    Exit status:
      0   started; with --wait as `agentctl wait`
      1   it could not be started, or ended badly within --settle
      10  no such session or file
      11  the session is still running, or its directory is taken
      12  its adapter cannot resume
    """
    from agentctl.ops.start.resume import goes_on_by_itself, resume_request

    if message is not None and prompt_file is not None:
        raise click.UsageError(GIVEN_ONCE)
    from_file = "-" if message == "-" else prompt_file
    text = message if from_file is None else read_prompt(from_file, "message")
    if adapter is not None:
        from agentctl.ops.sessions.find import find_one

        session = find_one(runtime, session, adapter=adapter).session.id
    if text is None and not goes_on_by_itself(runtime, session):
        raise click.UsageError(GIVEN_ONCE)
    request = resume_request(runtime, session, text, model, shared.start_options(runtime))
    return start(runtime, request, wait=shared.wait, as_json=shared.as_json)
