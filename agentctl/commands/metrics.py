"""`agentctl metrics`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agentctl.commands._options import json_option, pass_runtime

if TYPE_CHECKING:
    from agentctl.core.exposition import Family
    from agentctl.runtime import Runtime


@click.command("metrics")
@click.option("-o", "--output", type=click.Path(), help="Replace this file, in one step, and print nothing.")
@json_option
@pass_runtime
def command(runtime: Runtime, output: str | None, as_json: bool) -> None:
    """Print metrics in the text format of Prometheus.

    For the textfile collector of the node exporter, fed by cron. Totals count sessions that
    were forgotten since, too. With --output the file is readable by everybody and is never
    seen half written.

    \b
    Examples:
      agentctl metrics
      agentctl metrics --output /var/lib/node_exporter/agentctl.prom
      agentctl metrics --json

    \b
    Exit status:
      0   done
      1   the file cannot be written
      2   usage; what --output names is no file
      10  the directory of --output is not there
      13  the state cannot be read
    """
    from agentctl.core.exposition import exposition
    from agentctl.ops.state.metrics import gather, publish

    runtime.actor = "metrics"
    if output is not None and as_json:
        raise click.UsageError("--output writes the text format: leave --json out.")
    families = gather(runtime)
    if output is not None:
        publish(exposition(families), output)
    elif as_json:
        from agentctl.documents import document

        click.echo(document(metrics=[_document(family) for family in families]))
    else:
        click.echo(exposition(families), nl=False)


def _document(family: Family) -> dict[str, object]:
    return {
        "name": family.name,
        "type": family.type,
        "help": family.help,
        "samples": [sample._asdict() for sample in family.samples],
    }
