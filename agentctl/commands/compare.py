"""`agentctl compare`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import click

from agentctl.commands import _show
from agentctl.commands._options import GROUP, json_option, pass_runtime

if TYPE_CHECKING:
    from agentctl.core.compare import Changes, HookResult
    from agentctl.core.model import Tokens
    from agentctl.ops.worktrees.compare import Comparison, Sibling
    from agentctl.runtime import Runtime

_WIDEST_HOOK = 40


@click.command("compare")
@click.argument("group", type=GROUP)
@click.option("--base", metavar="REF", help="Compare with this commit.  [default: where each branch began]")
@json_option
@pass_runtime
def command(runtime: Runtime, group: str, base: str | None, as_json: bool) -> int:
    """Compare the sessions of one group.

    Shows for each session: how it ended, how long it took, model, tokens and cost as the agent reports
    them, what differs from the base in its worktree (committed, uncommitted and untracked),
    and what its on-complete hook said. Files that several touched are listed below. Nothing
    is changed, and nothing is fetched. If a worktree is gone, its branch is
    compared instead, or the state that its removal saved.

    \b
    Examples:
      agentctl compare g-1a2b3c
      agentctl compare g-1a2b3c --base main
      agentctl compare g-1a2b3c --json

    \b
    Exit status:
      0   shown
      2   usage
      3   the changes of some could not be read
      10  no such group, or no such commit
    """
    from agentctl.ops.worktrees.compare import compare

    comparison = compare(runtime, group, base=base)
    _show.answer(
        comparison,
        as_json=as_json,
        document=partial(_document, runtime),
        text=partial(_text, runtime),
    )
    if not as_json:
        for remark in _remarks(comparison):
            _show.note(remark)
    return 3 if any(each.has_failed for each in comparison.siblings) else 0


def _document(runtime: Runtime, comparison: Comparison) -> Mapping[str, object]:
    from agentctl.documents import session_document

    now = runtime.clock()
    sessions = [
        {
            **session_document(each.found, now),
            "changes": None if each.changes is None else _changes_document(each.changes),
            "changes_missing": each.missing,
            "hook": None if each.hook is None else each.hook._asdict(),
        }
        for each in comparison.siblings
    ]
    shared = [{"path": path, "sessions": list(ids)} for path, ids in comparison.shared.items()]
    return {"group": comparison.group, "sessions": sessions, "shared_files": shared}


def _changes_document(changes: Changes) -> Mapping[str, object]:
    return {
        "base": changes.base,
        "added": changes.added,
        "deleted": changes.deleted,
        "files": [file._asdict() for file in changes.files],
        "notes": list(changes.notes),
    }


def _text(runtime: Runtime, comparison: Comparison) -> str:
    from agentctl.render import table

    color = _show.uses_color(runtime)
    headers = (
        "ID", "ADAPTER", "MODEL", "BRANCH", "OUTCOME", "TOOK", "TOKENS", "COST", "CHANGES", "HOOK",
    )  # fmt: skip
    rows = [_row(runtime, each) for each in comparison.siblings]
    empty = [all(row[place] is None for row in rows) for place in range(len(headers))]
    kept = [place for place, nothing in enumerate(empty) if not nothing]
    shown = table([headers[at] for at in kept], [[row[at] for at in kept] for row in rows], color=color)
    if not comparison.shared:
        return shown
    shared = [(path, " ".join(one[:8] for one in ids)) for path, ids in comparison.shared.items()]
    return shown + "\n\n" + table(("TOUCHED BY SEVERAL", "SESSIONS"), shared, color=color)


def _remarks(comparison: Comparison) -> Iterator[str]:
    from agentctl.core.text import one_line

    for each in comparison.siblings:
        for text in (each.missing, *(each.changes.notes if each.changes else ())):
            if text is not None:
                yield f"session {each.found.session.id[:8]}: {one_line(text)}"


def _row(runtime: Runtime, each: Sibling) -> tuple[object, ...]:
    from agentctl.core.durations import format_duration
    from agentctl.documents import elapsed

    session = each.found.session
    took = elapsed(session, runtime.clock())
    return (
        session.id[:8],
        session.adapter,
        session.model,
        session.branch,
        session.outcome or each.found.status.value,
        None if took is None else format_duration(took),
        _tokens(session.tokens),
        None if session.cost_usd is None else f"${session.cost_usd:.4f}",
        None if each.changes is None else _diffstat(each.changes),
        None if each.hook is None else _hook(each.hook),
    )


def _tokens(tokens: Tokens) -> str | None:
    if tokens.input is None and tokens.output is None:
        return None
    return "/".join("?" if count is None else f"{count:,}" for count in (tokens.input, tokens.output))


def _diffstat(changes: Changes) -> str:
    count = len(changes.files)
    if not count:
        return "none"
    return f"+{changes.added} -{changes.deleted} in {count} file{'' if count == 1 else 's'}"


def _hook(hook: HookResult) -> str:
    from agentctl.core.text import one_line

    word = "ok" if hook.exit_code == 0 else hook.error or hook.state.value
    return one_line(f"{word}: {hook.last_line}" if hook.last_line else word, _WIDEST_HOOK)
