"""`agentctl adapters`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from agentctl.commands import _show
from agentctl.commands._options import ADAPTER, json_option, pass_runtime

if TYPE_CHECKING:
    from agentctl.ops.settings.adapters import AdapterFacts
    from agentctl.runtime import Runtime


@click.command("adapters")
@click.argument("names", metavar="[NAME]...", nargs=-1, type=ADAPTER)
@json_option
@pass_runtime
def command(runtime: Runtime, names: tuple[str, ...], as_json: bool) -> None:
    """List adapters and their capabilities.

    Shows where each agent program was found, the versions its adapter was checked against,
    and what it can do. With NAME, also the settings of that adapter, such as what its agent may do
    without asking; set them in [adapters.NAME] of the configuration. Other packages can
    provide more adapters.

    \b
    Examples:
      agentctl adapters
      agentctl adapters codex
      agentctl config set adapters.codex.sandbox workspace-write

    \b
    Exit status:
      0  listed; an adapter that cannot be loaded is listed with its error
      2  something in the configuration file is wrong
      12 there is no such adapter
    """
    from agentctl.ops.settings.adapters import survey

    found = survey(runtime, runtime.settings.adapters, names)
    _show.answer(
        found,
        as_json=as_json,
        document=lambda found: {"adapters": found},
        text=_told_all if names else partial(_table, runtime),
    )


def _table(runtime: Runtime, found: Sequence[AdapterFacts]) -> str:
    from agentctl.render import table

    headers = ("NAME", "PROGRAM", "VERIFIED", "CAPABILITIES", "SUMMARY")
    rows = [
        (one.name, _where(one), one.verified, " ".join(one.capabilities) or None, _what(one)) for one in found
    ]
    return table(headers, rows, color=_show.uses_color(runtime))


def _told_all(found: Sequence[AdapterFacts]) -> str:
    return "\n\n".join(map(_told, found))


def _told(one: AdapterFacts) -> str:
    """Everything about one adapter, its settings below."""
    from agentctl.render import record

    pairs = [
        ("name", one.name),
        ("what", _what(one)),
        ("from", one.source),
        ("program", _where(one)),
        ("checked with", one.verified),
        ("can", " ".join(one.capabilities)),
    ]
    lines = [record(pairs)]
    for option in one.options:
        is_set = "" if option.value is None else f" = {option.value}"
        choices = f"\n    one of {', '.join(option.choices)}" if option.choices else ""
        lines.append(f"\n  {option.name}{is_set}\n{_wrapped(option.help)}{choices}")
    return "\n".join(lines)


def _wrapped(text: str) -> str:
    return click.wrap_text(text, 96, initial_indent="    ", subsequent_indent="    ")


def _where(one: AdapterFacts) -> str | None:
    if one.error:
        return None
    if one.program is None:
        return "not needed"
    return one.found or f"{one.program} not found"


def _what(one: AdapterFacts) -> str | None:
    if one.error:
        return f"cannot be loaded: {one.error}"
    if one.program and not one.found and one.install:
        return f"{one.summary} To install: {one.install}"
    return one.summary
