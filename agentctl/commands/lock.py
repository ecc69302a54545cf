"""`agentctl lock`."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import click

from agentctl.commands import _show
from agentctl.commands._options import DURATION, json_option, pass_runtime

if TYPE_CHECKING:
    from agentctl.runtime import Runtime


@click.command("lock")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=str))
@click.option("--by", "holder", metavar="WHO", help="Who holds the directory.  [default: your user name]")
@click.option("--reason", help="The reason; shown when a launch is refused.")
@click.option("--for", "ttl", type=DURATION, help="Free the directory after this long.  [default: never]")
@json_option
@pass_runtime
def command(
    runtime: Runtime,
    directory: str,
    holder: str | None,
    reason: str | None,
    ttl: timedelta | None,
    as_json: bool,
) -> None:
    """Reserve a directory so that no agent starts in it.

    `agentctl launch` refuses a held directory unless it is given --force. Directories above
    and below it are not affected. Locking again as the same holder replaces the reason and
    the time.

    \b
    Examples:
      agentctl lock . --reason 'release in progress'
      agentctl lock ~/src/site --by nightly-build --for 2h

    \b
    Exit status:
      0   held
      2   not a directory
      10  no such directory
      11  somebody else holds it; the message says who
    """
    from agentctl.ops.directories import locks

    request = locks.LockRequest(directory=directory, holder=holder, reason=reason, ttl=ttl)
    taken = locks.lock(runtime, request)
    _show.answer(
        taken,
        as_json=as_json,
        document=lambda taken: {"locks": _show.lock_fields([taken])},
        text=lambda taken: _show.note(f"{taken.directory} is locked by {taken.holder}"),
    )
