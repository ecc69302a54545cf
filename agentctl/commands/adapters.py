"""`agentctl adapters`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agentctl.commands import _show
from agentctl.commands._options import json_option, pass_runtime

if TYPE_CHECKING:
    from agentctl.ops.adapters import AdapterFacts
    from agentctl.runtime import Runtime


@click.command("adapters")
@json_option
@pass_runtime
def command(runtime: Runtime, as_json: bool) -> None:
    """List adapters and what each can do.

    Shows where each agent program was found, the versions its adapter was checked against,
    and what it can do. Other packages can provide more adapters.

    \b
    Examples:
      agentctl adapters
      agentctl adapters --json

    \b
    Exit status:
      0  listed; an adapter that cannot be loaded is listed with its error
      2  something in the configuration file is wrong
    """
    from agentctl.ops.adapters import survey

    found = survey(runtime, runtime.settings.adapters)
    if as_json:
        from agentctl.documents import document

        click.echo(document(adapters=found))
        return
    from agentctl.render import table

    headers = ("NAME", "PROGRAM", "VERIFIED", "CAPABILITIES", "SUMMARY")
    rows = [
        (one.name, _where(one), one.verified, " ".join(one.capabilities) or None, _what(one)) for one in found
    ]
    click.echo(table(headers, rows, color=_show.uses_color(runtime)))


def _where(one: AdapterFacts) -> str | None:
    if one.error:
        return None
    if one.program is None:
        return "needs none"
    return one.found or f"{one.program} not found"


def _what(one: AdapterFacts) -> str | None:
    if one.error:
        return f"cannot be loaded: {one.error}"
    if one.program and not one.found and one.install:
        return f"{one.summary} To install: {one.install}"
    return one.summary
