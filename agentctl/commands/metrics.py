"""`agentctl metrics`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from agentctl.commands import _show
from agentctl.commands._options import json_option, pass_runtime

if TYPE_CHECKING:
    from agentctl.core.exposition import Family
    from agentctl.runtime import Runtime


@click.command("metrics")
@click.option("-o", "--output", type=click.Path(), help="Replace this file, in one step, and print nothing.")
@json_option
@pass_runtime
def command(runtime: Runtime, output: str | None, as_json: bool) -> None:
    """Print metrics in the Prometheus text format.

    For the textfile collector of the node exporter, fed by cron. Totals also count
    sessions that have been forgotten. With --output, the file is readable by everybody and is
    replaced in one step.

    \b
    Examples:
      agentctl metrics
      agentctl metrics --output /var/lib/node_exporter/agentctl.prom
      agentctl metrics --json

    \b
    Exit status:
      0   done
      1   the file cannot be written
      2   usage error; --output is not a regular file
      10  the directory of --output does not exist
      13  the state cannot be read
    """
    from agentctl.core.exposition import exposition
    from agentctl.ops.state.metrics import gather, publish

    if output is not None and as_json:
        raise click.UsageError("--output and --json cannot be used together")
    families = gather(runtime)
    if output is not None:
        publish(exposition(families), output)
        return
    _show.answer(
        families,
        as_json=as_json,
        document=lambda families: {"metrics": [_fields(family) for family in families]},
        text=lambda families: exposition(families).removesuffix("\n"),
    )


def _fields(family: Family) -> Mapping[str, object]:
    return {
        "name": family.name,
        "type": family.type,
        "help": family.help,
        "samples": [sample._asdict() for sample in family.samples],
    }
