"""Several agents in one `launch`: from options and matrix files to slots, and the answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from agentctl.commands import _show
from agentctl.commands._launching import print_id

if TYPE_CHECKING:
    from agentctl.core.plan import Slot
    from agentctl.ops.start.group import GroupLaunched, Started
    from agentctl.ops.start.plan import LaunchRequest
    from agentctl.ops.start.prompt import ContextRequest
    from agentctl.runtime import Runtime


def slots_in_order(words: Iterable[tuple[str, str]]) -> tuple[list[Slot], str | None]:
    """The slots of --adapter and --model as they stand on the line, and a model for all of them."""
    given = list(words)
    if all(kind == "models" for kind, _ in given):
        return [], given[-1][1] if given else None
    from agentctl.core.plan import MAX_SLOTS, Slot

    slots: list[Slot] = []
    for kind, value in given:
        if kind == "adapters":
            slots.append(Slot(value))
        elif not slots:
            raise click.UsageError(f"--model {value} stands before any --adapter: put it behind its own.")
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
    return slots, None


def gather(
    request: LaunchRequest,
    named: Sequence[Slot],
    *,
    model: str | None,
    has_cwd: bool,
    options: Mapping[str, Any],
) -> tuple[LaunchRequest, list[Slot], str | None]:
    """The request with all that its slots share, the slots, and the path of a matrix file's specification.

    One slot alone is in the request itself.
    """
    slots, spec = list(named), None
    if slots and request.adapter is not None:
        raise click.UsageError("name the agent either as an argument or with --adapter, not both.")
    request = replace(request, model=model)
    if options["matrix"] is not None:
        if slots or request.adapter is not None:
            raise click.UsageError("--matrix names the agents: no other may be given beside it.")
        request, slots, spec = _from_matrix(
            request, options["matrix"], is_placed=has_cwd or bool(options["worktree"])
        )
    if len(slots) == 1:
        (one,) = slots
        request = replace(
            request,
            adapter=one.adapter,
            model=one.model or request.model,
            prompt=one.prompt or request.prompt,
        )
        options = {
            **options,
            "branch": options["branch"] or one.branch,
            "base_branch": options["base_branch"] or one.base_branch,
        }
    return _in_worktree(request, options), slots, spec


def with_context(
    runtime: Runtime, request: LaunchRequest, slots: Sequence[Slot], context: ContextRequest
) -> tuple[LaunchRequest, list[Slot]]:
    """The same with files and the issue in every prompt, those of the slots too. Each is read once."""
    from agentctl.ops.start.prompt import in_prompts

    place = request.cwd if request.worktree is None else request.worktree.repository
    prompts = in_prompts(runtime, context, [request.prompt, *(slot.prompt for slot in slots)], cwd=place)
    composed = [
        slot if slot.prompt is None else slot._replace(prompt=prompt)
        for slot, prompt in zip(slots, prompts[1:], strict=True)
    ]
    return replace(request, prompt=prompts[0]), composed


def _in_worktree(request: LaunchRequest, options: Mapping[str, Any]) -> LaunchRequest:
    """--branch alone is enough: the repository is then the one of the directory."""
    place, branch, base = options["worktree"], options["branch"], options["base_branch"]
    if place is None and branch is None and base is None:
        return request
    for option, text in (("--branch", branch), ("--base-branch", base)):
        if text == "":
            raise click.UsageError(f"{option} is empty: leave it out for the default.")
    from agentctl.ops.worktrees.make import WorktreeRequest

    return replace(request, worktree=WorktreeRequest(place or request.cwd, branch, base))


def _from_matrix(
    request: LaunchRequest, path: str, *, is_placed: bool
) -> tuple[LaunchRequest, list[Slot], str | None]:
    """What a matrix file says, under what the command line says; last the path of its specification."""
    from agentctl.ops.start.group import load_matrix

    matrix = load_matrix(path)
    changed = replace(
        request,
        prompt=matrix.prompt if request.prompt is None else request.prompt,
        cwd=request.cwd if is_placed or matrix.cwd is None else matrix.cwd,
        hooks={**matrix.hooks, **request.hooks},
    )
    return changed, list(matrix.slots), matrix.spec


def start_group(
    runtime: Runtime, request: LaunchRequest, slots: Sequence[Slot], *, wait: bool, as_json: bool
) -> int:
    """Launch all, print the ids (or the document), and wait if that was asked for; the exit code."""
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
    # A slot that never began outweighs that the others ended well, not how they failed.
    return code or launched.exit_code


def _wait(runtime: Runtime, ids: Sequence[str], *, as_json: bool) -> int:
    from agentctl.ops.sessions.find import find_all
    from agentctl.ops.sessions.wait import wait

    waited = wait(runtime, find_all(runtime, ids))
    for one in waited.found:
        _show.note(f"session {one.session.id[:8]} {one.session.outcome or one.status}: {one.reason}")
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
    """For people: what was started where, and what was not and why."""
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
