"""`agentctl locks`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from agentctl.commands import _show
from agentctl.commands._options import json_option, pass_runtime

if TYPE_CHECKING:
    from agentctl.core.model import Lock
    from agentctl.runtime import Runtime


@click.command("locks")
@click.option("-q", "--quiet", is_flag=True, help="Print directories only.")
@json_option
@pass_runtime
def command(runtime: Runtime, quiet: bool, as_json: bool) -> None:
    """List reserved directories and their holders.

    A session holds the directory it works in until it has ended; a person holds one from
    `agentctl lock` to `agentctl unlock`, or until the time given by --for.

    \b
    Examples:
      agentctl locks
      agentctl locks -q

    \b
    Exit status:
      0   always, also for an empty list
      13  the state cannot be read
    """
    from agentctl.ops.directories.locks import held_locks

    found = held_locks(runtime)
    _show.answer(
        found,
        as_json=as_json,
        document=lambda found: {"locks": _show.lock_fields(found)},
        text=partial(_table, runtime),
        quiet=quiet,
        ids=_directories,
        typescript=_typescript if as_json and runtime.usual.compat else None,
    )


def _typescript(found: Iterable[Lock]) -> object:
    from agentctl.typescript import lock_fields

    return [lock_fields(lock) for lock in found]


def _directories(found: Iterable[Lock]) -> Iterable[str]:
    """For a program the name as it is; for a terminal without anything that it would obey."""
    from agentctl.core.text import one_line

    shown = one_line if sys.stdout.isatty() else str
    return map(shown, dict.fromkeys(lock.directory for lock in found))


def _table(runtime: Runtime, found: Sequence[Lock]) -> str:
    from agentctl.render import lock_table

    color = _show.uses_color(runtime)
    return lock_table(found, now=runtime.clock(), home=_show.home(runtime), color=color)
