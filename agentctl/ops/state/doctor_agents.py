"""What `doctor` finds, and its looks at the configuration, the agents' programs and their stores."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agentctl.adapters import registry
from agentctl.adapters.base import Capability, StoreUnreadable
from agentctl.adapters.reading import head_lines, json_objects
from agentctl.errors import AgentctlError
from agentctl.host import shell
from agentctl.ops.external.which import discovering, store_paths
from agentctl.ops.settings.adapters import AdapterFacts, survey
from agentctl.ops.settings.config import endings_by_default, exists
from agentctl.ops.settings.tables import adapter_problems
from agentctl.runtime import Runtime
from agentctl.store import discovery
from agentctl.store.db import Database, reading

HEAD_BYTES = 1024 * 1024
NAMED = 3
"""Files named in one finding; the rest is counted."""

VERSION_WITHIN = 5.0
"""Seconds that a program gets to say its version."""


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    ABSENT = "absent"
    """Not installed: nothing is wrong, and nothing was checked."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    subject: str
    fact: str
    remedy: str | None = None


def configuration(runtime: Runtime) -> Iterator[Finding]:
    """The file, and what in it no adapter reads. Raises UsageFault for a wrong one."""
    path = runtime.paths.config_file
    is_there = exists(runtime)
    _ = runtime.settings  # read and checked here
    yield Finding(Level.OK, "configuration", path if is_there else f"none ({path}): defaults apply")
    if endings := endings_by_default(runtime):
        yield Finding(Level.OK, "webhook", endings)
    for problem in adapter_problems(runtime):
        remedy = problem.hint or f"agentctl config set {problem.key} writes another value"
        yield Finding(Level.WARN, "configuration", f"{problem.key} {problem.text}", remedy)
    if is_there and runtime.settings.webhook_secret and os.stat(path).st_mode & 0o077:
        yield Finding(
            Level.WARN,
            "configuration",
            "others may read the webhook's secret in it",
            f"chmod 600 {shlex.quote(path)}",
        )


def adapters(runtime: Runtime) -> Iterator[Finding]:
    """Each adapter, with the version that its program tells."""
    for one in survey(runtime, _tables(runtime)):
        subject = f"adapter {one.name}"
        if one.error:
            remedy = f"repair or remove the package that provides {one.source}"
            yield Finding(Level.WARN, subject, f"cannot be loaded: {one.error}", remedy)
        elif one.program is None:
            yield Finding(Level.OK, subject, "needs no program")
        elif one.found is None:
            hint = f" ({one.install})" if one.install else ""
            yield Finding(Level.ABSENT, subject, f"{one.program} is not installed{hint}")
        else:
            yield _installed(runtime, subject, one, one.found)


def _tables(runtime: Runtime) -> Mapping[str, Mapping[str, Any]]:
    try:
        return runtime.settings.adapters
    except AgentctlError:
        return {}  # reported by the look at the configuration


def _installed(runtime: Runtime, subject: str, one: AdapterFacts, path: str) -> Finding:
    """A program that was found, asked for its version as a person would."""
    ran = shell.run(f"{shlex.quote(path)} --version", cwd="/", environ=runtime.environ, limit=VERSION_WITHIN)
    said = next((line.strip() for line in ran.output.splitlines() if line.strip()), "")
    if ran.error is not None:
        fact = f"{path} --version: {ran.error}" + (f": {said}" if said else "")
        return Finding(
            Level.WARN, subject, fact, f"run {path} yourself" + (f"; {one.install}" if one.install else "")
        )
    return Finding(
        Level.OK, subject, f"{path}, version {said or 'not told'} (checked against {one.verified})"
    )


def own_sessions(runtime: Runtime, db: Database, unreadable: Sequence[Finding]) -> Iterator[Finding]:
    """Files of the agents' own stores that the latest listings could make nothing of.

    `unreadable` is what `stores` has found: nothing good is said of those.
    """
    subjects = {one.subject for one in unreadable}
    for name in discovering(runtime):
        with reading(db):
            kept = discovery.get(db, name)
        silent = [path for path, one in kept.items() if one.payload == "[]" and path.endswith(".jsonl")]
        broken = sorted(path for path in silent if _is_broken(path))
        if broken:
            yield Finding(
                Level.WARN,
                f"sessions of {name}",
                f"{len(broken)} of {len(kept)} files cannot be read as its sessions: {few(broken, NAMED)}",
                "they are skipped; look at them, or delete them",
            )
        elif kept and f"sessions of {name}" not in subjects:
            yield Finding(Level.OK, f"sessions of {name}", f"{len(kept)} files were read")


def stores(runtime: Runtime) -> Iterator[Finding]:
    """The agents' databases that exist and cannot be read."""
    for name in discovering(runtime):
        yield from _unreadable(runtime, name)


def _unreadable(runtime: Runtime, name: str) -> Iterator[Finding]:
    """The databases of an agent that cannot be read; of transcripts a listing has kept what they say."""
    if name not in registry.ADAPTERS:
        return
    module = registry.load(name)
    if Capability.REMOTE in module.CAPABILITIES:
        return
    for source in (each for path in store_paths(runtime, module) for each in module.sources(path)):
        if source.endswith(".jsonl") or not os.path.exists(source):
            continue
        try:
            for _ in module.discover(source):
                pass
        except StoreUnreadable as error:
            yield Finding(Level.WARN, f"sessions of {name}", error.message, error.hint)


def _is_broken(path: str) -> bool:
    """Not one record in its beginning: cut short, or no transcript at all. A file that has gone is none."""
    lines = head_lines(path, HEAD_BYTES)
    return os.path.exists(path) and next(json_objects(lines), None) is None


def few(names: Sequence[str], most: int) -> str:
    """The first of them, and how many more there are."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
