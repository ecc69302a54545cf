"""Several agents in one `launch`: from options and matrix files to slots, and the answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from agentctl.commands import _show
from agentctl.commands._launching import print_id

if TYPE_CHECKING:
    from agentctl.core.slots import Matrix, Slot
    from agentctl.ops.start.group import GroupLaunched, Started
    from agentctl.ops.start.plan import LaunchRequest
    from agentctl.ops.start.prompt import ContextRequest
    from agentctl.runtime import Runtime


class OnLine(NamedTuple):
    """The agents of --adapter and --model, as the command line has them."""

    slots: tuple[Slot, ...] = ()
    model: str | None = None
    """A model for every agent that has none of its own."""


def on_line(words: Iterable[tuple[str, str]]) -> OnLine:
    """What --adapter and --model say, in the order in which they were given."""
    given = list(words)
    if all(kind == "models" for kind, _ in given):
        return OnLine(model=given[-1][1] if given else None)
    from agentctl.core.plan import MAX_SLOTS
    from agentctl.core.slots import Slot

    slots: list[Slot] = []
    for kind, value in given:
        if kind == "adapters":
            slots.append(Slot(value))
        elif not slots:
            raise click.UsageError(f"--model {value} comes before any --adapter: put it after its own.")
        elif slots[-1].model is not None:
            raise click.UsageError(
                f"--adapter {slots[-1].adapter} has two models: repeat --adapter for the second."
            )
        else:
            slots[-1] = slots[-1]._replace(model=value)
    if len(slots) > MAX_SLOTS:
        raise click.UsageError(
            f"{len(slots)} agents are more than the {MAX_SLOTS} that one launch may start."
        )
    return OnLine(tuple(slots))


def agents(runtime: Runtime, line: OnLine, *, adapter: str | None, matrix: str | None) -> Matrix:
    """The agents to start, whichever way they were named, and what a matrix file says for all; never none."""
    from agentctl.core.slots import Matrix, Slot
    from agentctl.ops.start.plan import default_adapter

    if line.slots and adapter is not None:
        raise click.UsageError("name the agent either as an argument or with --adapter, not both.")
    if matrix is None:
        return Matrix(line.slots or (Slot(adapter or default_adapter(runtime)),))
    if line.slots or adapter is not None:
        raise click.UsageError("--matrix names the agents: name no others with it.")
    from agentctl.ops.start.group import load_matrix

    return load_matrix(matrix)


def composed(
    runtime: Runtime,
    context: ContextRequest,
    slots: Sequence[Slot],
    *,
    prompt: str | None,
    cwd: str,
) -> list[Slot]:
    """The slots, each with its prompt, or else `prompt`, and the files and the issue in it."""
    from agentctl.ops.start.prompt import in_prompts

    prompts = in_prompts(runtime, context, [slot.prompt or prompt for slot in slots], cwd=cwd)
    return [slot._replace(prompt=each) for slot, each in zip(slots, prompts, strict=True)]


def start_group(
    runtime: Runtime, request: LaunchRequest, slots: Sequence[Slot], *, wait: bool, as_json: bool
) -> int:
    """Launch all, print the ids (or the document), and wait if asked to; the exit code."""
    from agentctl.ops.start.group import launch_group

    launched = launch_group(runtime, request, slots)
    _tell(runtime, launched)
    ids = [one.launched.session.id for one in launched.slots if one.launched is not None]
    if not as_json:
        for session_id in ids:
            print_id(session_id)
    code = _wait(runtime, ids, as_json=as_json) if wait and ids else 0
    if as_json:
        click.echo(_document(runtime, launched, ids))
    # A slot that never started outweighs the others' success, but not their failures.
    return code or launched.exit_code


def _wait(runtime: Runtime, ids: Sequence[str], *, as_json: bool) -> int:
    from agentctl.ops.sessions.find import find_all
    from agentctl.ops.sessions.wait import wait

    waited = wait(runtime, find_all(runtime, ids))
    for one in waited.found:
        _show.outcome(one)
    return waited.exit_code


def _document(runtime: Runtime, launched: GroupLaunched, ids: Sequence[str]) -> str:
    """The document of sessions, with the group and the slots that failed beside them."""
    from agentctl.documents import document, session_document
    from agentctl.ops.sessions.find import find_all

    now = runtime.clock()
    return document(
        sessions=[session_document(one, now) for one in find_all(runtime, ids)] if ids else [],
        group=launched.group,
        failed=[
            {
                "adapter": one.slot.adapter,
                "model": one.slot.model,
                "branch": one.branch,
                "error": {"code": one.error.slug, "message": one.error.message, "hint": one.error.hint},
            }
            for one in launched.slots
            if one.error is not None
        ],
    )


def _tell(runtime: Runtime, launched: GroupLaunched) -> None:
    """Tell people what was started where, and what was not and why."""
    from agentctl.render import table, tilde

    started = [one for one in launched.slots if one.launched is not None]
    for one in launched.slots:
        for note in one.launched.notes if one.launched is not None else ():
            _show.note(note)
        if one.error is not None:
            _show.note(f"{_named(one)}: {one.error.message}")
            _show.hint(one.error.hint)
    _show.note(f"group {launched.group}: {len(started)} of {len(launched.slots)} agents started")
    rows = [
        (
            one.launched.session.id[:8],
            one.slot.adapter,
            one.launched.session.model,
            one.branch,
            tilde(one.path, _show.home(runtime)),
        )
        for one in started
        if one.launched is not None
    ]
    if rows:
        click.echo(table(("ID", "ADAPTER", "MODEL", "BRANCH", "DIRECTORY"), rows), err=True)


def _named(one: Started) -> str:
    agent = f"{one.slot.adapter} {one.slot.model}" if one.slot.model else one.slot.adapter
    return f"{agent} on {one.branch}"
