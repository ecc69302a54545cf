"""`agentctl hooks`: what was, is and could not be delivered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from agentctl.commands import _show
from agentctl.commands._options import ANY_SESSION, COUNT_FROM_1, json_option, pass_runtime

if TYPE_CHECKING:
    from agentctl.core.ledger import Delivery
    from agentctl.ops.state.hooks import Retried
    from agentctl.runtime import Runtime


@click.group("hooks")
def command() -> None:
    """List and retry deliveries of hooks and webhooks.

    A hook that failed is not retried automatically, because it may have done half its work. A
    webhook is retried by later calls of agentctl, at growing intervals, and finally given up.

    An address or secret that comes from the environment is never stored. If a call without it
    records the end of a session, the post is `waiting` until a call has the same one again.
    """


@command.command("list")
@click.argument("session", metavar="[ID]", required=False, type=ANY_SESSION)
@click.option("--failed", is_flag=True, help="Only deliveries that were given up.")
@json_option
@pass_runtime
def list_(runtime: Runtime, session: str | None, failed: bool, as_json: bool) -> None:
    """List deliveries, newest first.

    With the ID of a session: only its deliveries, with what its hooks printed.

    \b
    Examples:
      agentctl hooks list --failed
      agentctl hooks list 3f2a

    \b
    Exit status: 0 always, also for an empty list; 10 no such session.
    """
    from agentctl.ops.state.hooks import deliveries

    found = deliveries(runtime, session, failed_only=failed)
    _show.answer(
        found,
        as_json=as_json,
        document=lambda found: {"deliveries": [_fields(one) for one in found]},
        text=partial(_text, runtime, with_output=session is not None),
    )


def _text(runtime: Runtime, found: Sequence[Delivery], *, with_output: bool) -> str:
    from agentctl.core.text import clean
    from agentctl.render import delivery_table

    shown = delivery_table(found, now=runtime.clock(), color=_show.uses_color(runtime))
    for one in found:
        if with_output and one.output:
            shown += f"\n\n{one.name} (delivery {one.id}) printed:\n{clean(one.output).rstrip()}"
    return shown


@command.command("retry")
@click.argument("deliveries", metavar="[DELIVERY_ID...]", nargs=-1, type=COUNT_FROM_1)
@click.option("--all", "everything", is_flag=True, help="Retry every delivery that has not arrived.")
@json_option
@pass_runtime
def retry(runtime: Runtime, deliveries: tuple[int, ...], everything: bool, as_json: bool) -> int:
    """Try failed deliveries again, now.

    A DELIVERY_ID is a number that `agentctl hooks list` shows. One that has already
    arrived is left alone. An on-create hook is never retried: it is a part of its launch.

    \b
    Examples:
      agentctl hooks retry 17
      agentctl hooks retry --all

    \b
    Exit status: 0 delivered; 1 some failed again, or an on-create hook; 10 no such delivery.
    """
    from agentctl.ops.state.hooks import retry as run

    if deliveries and everything:
        raise click.UsageError("give delivery numbers or --all, not both")
    if not deliveries and not everything:
        raise click.UsageError("give delivery numbers (see `agentctl hooks list`), or --all")
    retried = run(runtime, None if everything else deliveries)
    _show.answer(retried, as_json=as_json, document=_retried_fields, text=_tell)
    return 1 if retried.failed else 0


def _retried_fields(retried: Retried) -> Mapping[str, object]:
    return {
        "delivered": retried.done,
        "failed": [_fields(one) for one in retried.failed],
        "being_delivered": retried.busy,
        "delivered_before": retried.over,
    }


def _tell(retried: Retried) -> None:
    for number in retried.over:
        _show.note(f"delivery {number} has already arrived")
    for number in retried.busy:
        _show.note(f"delivery {number} is being made by another process")
    for number in retried.done:
        _show.note(f"delivery {number} has arrived")
    for one in retried.failed:
        _show.note(f"delivery {one.id} ({one.kind} {one.name}) failed again: {one.last_error}")


def _fields(one: Delivery) -> Mapping[str, object]:
    from agentctl.core.ledger import shown_target

    return {
        "id": one.id,
        "kind": one.kind,
        "name": one.name,
        "session_id": one.session_id,
        "state": one.state.value,
        "attempts": one.attempts,
        "last_error": one.last_error,
        "next_attempt_at": one.next_attempt_at,
        "created_at": one.created_at,
        "delivered_at": one.delivered_at,
        "target": shown_target(one),
        "event_id": one.event_id,
        "output": one.output,
    }
