"""What siblings of a group changed, as values: diffstats, files in common, hook results.

Must not run git or read files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from agentctl.core.ledger import Delivery, DeliveryKind, DeliveryState
from agentctl.core.text import clean


class FileChange(NamedTuple):
    """One file that differs from the base. Lines are None where they are not counted: binary files."""

    path: str
    added: int | None
    deleted: int | None


class Changes(NamedTuple):
    """All that differs from the base."""

    base: str
    """The commit that it is compared with."""
    files: tuple[FileChange, ...]
    repository: str
    """Where git keeps it: files of two repositories are never the same file."""
    place: str
    """The worktree or branch that was looked at."""
    notes: tuple[str, ...] = ()

    @property
    def added(self) -> int:
        return sum(each.added or 0 for each in self.files)

    @property
    def deleted(self) -> int:
        return sum(each.deleted or 0 for each in self.files)


class HookResult(NamedTuple):
    """How a session's on-complete hook ended, which is where its tests run."""

    state: DeliveryState
    exit_code: int | None
    error: str | None
    last_line: str | None


def read_numstat(records: Iterable[str]) -> list[FileChange]:
    """The records of `git diff --numstat -z --no-renames`. ValueError for any others."""
    found = []
    for record in records:
        added, deleted, path = record.split("\t", 2)
        found.append(FileChange(path, _count(added), _count(deleted)))
    return found


def _count(text: str) -> int | None:
    return None if text == "-" else int(text)


def in_common(changes: Mapping[str, Changes]) -> dict[str, tuple[str, ...]]:
    """Path → the siblings that touched it, for paths that differ in more than one place; by path.

    Siblings that share a directory do not count as several: who of them it was is not known.
    """
    touched: dict[tuple[str, str], dict[str, str]] = {}
    for sibling, each in changes.items():
        for file in each.files:
            touched.setdefault((file.path, each.repository), {})[sibling] = each.place
    shared: dict[str, tuple[str, ...]] = {}
    for (path, _), places in sorted(touched.items()):
        if len(set(places.values())) > 1:
            shared[path] = (*shared.get(path, ()), *places)
    return shared


def hook_result(deliveries: Iterable[Delivery]) -> HookResult | None:
    """The newest on-complete hook's result, of a session's deliveries with the newest first."""
    for each in deliveries:
        if each.kind is DeliveryKind.HOOK and each.name == "on_complete":
            told = re.fullmatch(r"exit (\d+)", each.last_error or "")
            code = 0 if each.state is DeliveryState.DONE else int(told[1]) if told else None
            return HookResult(each.state, code, each.last_error, _last_line(each.output))
    return None


def _last_line(output: str | None) -> str | None:
    lines = [line.strip() for line in clean(output or "").splitlines() if line.strip()]
    return lines[-1] if lines else None
