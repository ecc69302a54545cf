"""`agentctl locks`, and the document that all verbs about locks answer with."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

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
    """List held directories and their holders.

    A session holds the directory it works in until it has ended; a person holds one from
    `agentctl lock` to `agentctl unlock`, or for as long as was said.

    \b
    Examples:
      agentctl locks
      agentctl locks -q

    \b
    Exit status:
      0   always, also for an empty list
      13  the state cannot be read
    """
    from agentctl.core.text import one_line
    from agentctl.ops.directories.locks import held_locks

    runtime.actor = "locks"
    found = held_locks(runtime)
    if as_json:
        from agentctl.documents import document

        click.echo(document(locks=lock_documents(found)))
    elif quiet:
        # The name as it is for a program, but nothing that a terminal would obey.
        shown = one_line if sys.stdout.isatty() else str
        for directory in dict.fromkeys(lock.directory for lock in found):
            click.echo(shown(directory), color=True)
    elif found:
        from agentctl.render import lock_table

        now, home = runtime.clock(), _show.home(runtime)
        click.echo(lock_table(found, now=now, home=home, color=_show.uses_color(runtime)))


def lock_documents(locks: Iterable[Lock]) -> list[dict[str, Any]]:
    """Each lock with every key of the schema, in its order."""
    from agentctl.documents import lock_kind

    return [
        {
            "directory": lock.directory,
            "holder": lock.holder,
            "kind": lock_kind(lock),
            "session_id": lock.session_id,
            "reason": lock.reason,
            "created_at": lock.created_at,
            "expires_at": lock.expires_at,
        }
        for lock in locks
    ]
