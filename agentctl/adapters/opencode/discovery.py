"""Sessions of opencode that agentctl did not start, and the processes proved to run them.

Must not guess: a process belongs to a session only by its command line, or as the only run
that started in that directory just before the session was created.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from agentctl.adapters.base import NativeSession, Process, StoreUnreadable
from agentctl.adapters.opencode import log, store
from agentctl.adapters.opencode.records import FINISHED, StoredSession, failure_of, finish_of
from agentctl.adapters.reading import instant
from agentctl.core.model import AgentVerdict, Result

STARTING = timedelta(seconds=30)
"""A run creates its session within this time of its own start, even on a busy machine."""

ARCHIVED = "archived in opencode"

_TELLING = frozenset({"--title", "--session", "-s", "--continue", "-c"})


def discover(store_path: str) -> Iterable[NativeSession]:
    """Every session of the database and of the old JSON tree; subagents' are marked as children."""
    stored, fault = store.sessions(store_path)
    found = [native for one in stored if (native := _native(one, store_path)) is not None]
    if fault is not None:
        raise StoreUnreadable(
            f"the sessions of opencode in {store_path} cannot be read: {fault}",
            hint="opencode session list says whether opencode itself can read them",
            found=found,
        )
    return found


def match(natives: Sequence[NativeSession], processes: Sequence[Process]) -> Mapping[str, Process]:
    """Native id → the run whose command line names it, or the only one that fits it and no other session."""
    runs = [process for process in processes if _is_run(process)]
    found: dict[str, Process] = {}
    for process in sorted(runs, key=lambda run: run.started_at):
        named = option(process.argv, "--session", "-s")
        if named and "--fork" not in process.argv and any(native.native_id == named for native in natives):
            found[named] = process
    for fits in (_carries_title, _began_in_its_directory):
        free = [native for native in natives if native.native_id not in found and not native.is_child]
        pairs = [(native.native_id, run) for run in runs for native in free if fits(native, run)]
        for native_id, run in pairs:
            if sum(native_id == other or run is rival for other, rival in pairs) == 1:
                found[native_id] = run
    return found


def option(words: Sequence[str], *names: str) -> str | None:
    """The value of the last of these options, given as `--name value` or `--name=value`."""
    for index in reversed(range(len(words))):
        name, equals, value = words[index].partition("=")
        if name in names:
            return value if equals else next(iter(words[index + 1 :]), None)
    return None


def _native(stored: StoredSession, store_path: str) -> NativeSession | None:
    created, updated = instant(stored.created), instant(stored.updated)
    if created is None or updated is None:
        return None
    verdict, error = AgentVerdict.SILENT, None
    if stored.newest is not None:
        finish = finish_of(stored.newest)
        error = log.error_text(stored.newest.get("error")) or failure_of(finish)
        if error is not None:
            verdict = AgentVerdict.ERROR
        elif finish in FINISHED:
            verdict = AgentVerdict.OK
    return NativeSession(
        native_id=stored.id,
        store_path=store_path,
        cwd=stored.directory,
        title=stored.title,
        created_at=created,
        updated_at=updated,
        model=stored.model,
        result=Result(
            verdict=verdict,
            text=error,
            native_id=stored.id,
            model=stored.model,
            tokens=stored.tokens,
            cost_usd=stored.cost,
            notes=(ARCHIVED,) if stored.is_archived else (),
            transcript_path=store_path,
            adapter_version=stored.version,
        ),
        # A run creates its session some moments before it stores the prompt.
        is_open=verdict is AgentVerdict.SILENT,
        is_child=stored.parent_id is not None,
        tokens=stored.tokens,
    )


def _is_run(process: Process) -> bool:
    """Whether this is an `opencode run` that does its own work: a TUI may switch, a client has none."""
    words = process.argv[1:]
    return "run" in words and not any(word.partition("=")[0] == "--attach" for word in words)


def _carries_title(native: NativeSession, run: Process) -> bool:
    """The run was given this title, and the session is not an older one with the same title."""
    title = option(run.argv, "--title")
    return title is not None and title == native.title and native.created_at >= run.started_at


def _began_in_its_directory(native: NativeSession, run: Process) -> bool:
    """The run was given neither title nor session, and this one was created where and when it started."""
    directory = option(run.argv, "--dir") or run.cwd
    if (
        any(word.partition("=")[0] in _TELLING for word in run.argv)
        or directory is None
        or native.cwd is None
    ):
        return False
    age = native.created_at - run.started_at
    return timedelta() <= age <= STARTING and os.path.realpath(directory) == os.path.realpath(native.cwd)
