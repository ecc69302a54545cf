"""`agentctl daemon`: says what scripts of the TypeScript agentctl need in its place."""

from __future__ import annotations

import click

from agentctl.errors import UsageFault


@click.command(
    "daemon",
    hidden=True,
    context_settings={"ignore_unknown_options": True},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def command(words: tuple[str, ...]) -> None:
    """Refuse: nothing has to run between calls."""
    raise UsageFault(
        "agentctl has no daemon to start, stop or ask",
        hint="leave this call out; agentctl reap in a crontab does what is due, agentctl metrics replaces"
        " --metrics-port",
    )
