"""The calls that shims, timers and commands make of agentctl itself. In no listing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from agentctl.commands._options import pass_runtime

if TYPE_CHECKING:
    from agentctl.runtime import Runtime


@click.command("_finalise", hidden=True)
@click.argument("session_id")
@pass_runtime
def finalise(runtime: Runtime, session_id: str) -> None:
    """Record a session's end and deliver what that queued."""
    from agentctl.ops.sessions.reap import finalise as run

    runtime.actor, runtime.delivers = "shim", True
    run(runtime, session_id)


@click.command("_tick", hidden=True)
@click.argument("session_id")
@pass_runtime
def tick(runtime: Runtime, session_id: str) -> None:
    """Decide about a session whose deadline has come."""
    from agentctl.ops.sessions.reap import tick as run

    # A hook that takes its time must not keep the timer from the deadline: a deliverer runs it.
    runtime.actor = "timer"
    run(runtime, session_id)


@click.command("_sweep", hidden=True)
@click.argument("session_id")
@pass_runtime
def sweep(runtime: Runtime, session_id: str) -> None:
    """End what a stopped session left running."""
    from agentctl.ops.reconcile.sweep import work

    runtime.actor, runtime.sweeps = "sweeper", True
    work(runtime, runtime.state, session_id)


@click.command("_deliver", hidden=True)
@pass_runtime
def deliver(runtime: Runtime) -> None:
    """Deliver hooks and webhooks that are due."""
    from agentctl.ops.reconcile.deliver import deliver_alone

    runtime.actor, runtime.delivers = "deliverer", True
    deliver_alone(runtime, runtime.state)
