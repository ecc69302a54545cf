"""`agentctl doctor`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from agentctl.commands import _show
from agentctl.commands._options import json_option, pass_runtime

if TYPE_CHECKING:
    from agentctl.ops.state.doctor_agents import Finding
    from agentctl.ops.state.rebuild import Rebuilt
    from agentctl.runtime import Runtime


@click.command("doctor")
@click.option("--rebuild", is_flag=True, help="Make a new database from the sessions' own files.")
@click.option("--force", is_flag=True, help="With --rebuild: rebuild even a healthy database.")
@json_option
@pass_runtime
def command(runtime: Runtime, rebuild: bool, force: bool, as_json: bool) -> int:
    """Check the installation and repair the state.

    Every finding has a level (ok, warn, fail, or absent for a program
    that is not installed), a fact, and a remedy if there is one.

    --rebuild makes a new database when the old one is damaged or gone. The old one is kept
    under another name. Running agents go on, and what ended meanwhile is found. Events,
    locks put on directories by people, fuses of directories and undelivered hooks and
    webhooks are in no session's files: they come over only where the old database can be
    read, and what cannot be brought over is said.

    \b
    Examples:
      agentctl doctor
      agentctl doctor --rebuild

    \b
    Exit status:
      0   nothing failed; with --rebuild, the new database is in place
      1   something failed
      11  --rebuild: the database is healthy, or another agentctl has it open
      13  --rebuild: the state cannot be written
    """
    if rebuild:
        from agentctl.ops.state.rebuild import rebuild as make_anew

        rebuilt = make_anew(runtime, force=force)
        _show.answer(rebuilt, as_json=as_json, document=_rebuilt_fields, text=_tell_rebuilt)
        return 0
    if force:
        raise click.UsageError("--force needs --rebuild")
    return _examine(runtime, as_json=as_json)


def _examine(runtime: Runtime, *, as_json: bool) -> int:
    from agentctl.ops.state.doctor import examine
    from agentctl.ops.state.doctor_agents import Level

    found = examine(runtime)
    failed = any(one.level is Level.FAIL for one in found)
    _show.answer(
        found,
        as_json=as_json,
        document=lambda found: {"healthy": not failed, "checks": found},
        text=partial(_findings, runtime),
    )
    return int(failed)


def _findings(runtime: Runtime, found: Sequence[Finding]) -> str:
    from agentctl.render import doctor_report

    return doctor_report(found, color=_show.uses_color(runtime))


def _rebuilt_fields(rebuilt: Rebuilt) -> Mapping[str, object]:
    return {
        "sessions": rebuilt.sessions,
        "live": rebuilt.live,
        "ended": [session.id for session in rebuilt.ended],
        "set_aside": rebuilt.set_aside,
        "carried": rebuilt.carried,
        "lost": rebuilt.lost,
        "unreadable": rebuilt.unreadable,
    }


def _tell_rebuilt(rebuilt: Rebuilt) -> None:
    _show.note(f"the new database has {rebuilt.sessions} sessions, {rebuilt.live} of them live")
    for session in rebuilt.ended:
        _show.note(f"session {session.id[:8]} has ended in the meantime: {session.reason}")
    if rebuilt.carried:
        carried = ", ".join(f"{count} {name}" for name, count in rebuilt.carried.items())
        _show.note(f"copied from the old database: {carried}")
    if rebuilt.lost:
        _show.note(f"lost, in whole or in part: {'; '.join(rebuilt.lost)}")
    for directory in rebuilt.unreadable:
        _show.note(f"{directory} is not in the new database: its manifest cannot be read")
    if rebuilt.set_aside:
        _show.note(f"the old database is kept as {rebuilt.set_aside}")
