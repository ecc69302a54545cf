"""Threads that the real codex left, by name, and stores to look for them in."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentctl.adapters.base import CommandRequest
from agentctl.core.model import Session, Status

DATA = Path(__file__).parent.parent / "data" / "codex"

THREADS = {
    "finished": "01a201f3-94ab-7560-9e08-6c725b9a0590",
    "resumed": "01a201f3-94ab-7560-9e08-6c725b9a0590",
    "tool-call": "01a201f3-9bfb-71e1-8375-749af29e0068",
    "failed-401": "01a201f3-96b1-7462-b425-039ecb024da3",
    "failed-429": "01a201f3-9a18-7ff0-ac6a-7cacc76ebbf5",
    "interrupted": "01a201f3-be84-7d50-b60a-bc2dcb9ce0e6",
    "killed": "01a201f3-c6bd-71c0-b7b7-04ce80292034",
    "midrun": "01a201f3-9da9-76b0-87ea-80114981ad21",
    "midrun-tool": "01a201f3-b29d-7952-9e05-0a5368b3e69a",
    "refused": "01a20397-fecd-7f53-881e-6a0c76aedbfd",
    "review-child": "01a2038d-40eb-7a51-a857-46a40e2ada92",
}

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def log_of(name: str) -> str:
    return str(DATA / "logs" / f"{name}.log")


def put(store: Path, name: str, *, directory: str = "sessions/2026/11/22") -> Path:
    """The session file of a sample in a store, where codex would have put it."""
    place = store / directory
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"rollout-2026-11-22T06-31-10-{THREADS[name]}.jsonl"
    shutil.copyfile(DATA / "rollouts" / f"{name}.jsonl", path)
    return path


def append(path: Path, kind: str, payload: dict[str, Any], at: str = "2026-11-22T14:00:00.000Z") -> None:
    """One more record, as codex writes them."""
    record = {"timestamp": at, "ordinal": 99, "type": kind, "payload": payload}
    with path.open("a") as file:
        file.write(json.dumps(record, separators=(",", ":")) + "\n")


def session(**changes: Any) -> Session:
    fields: dict[str, Any] = {
        "id": "0123",
        "adapter": "codex",
        "cwd": "/project",
        "status": Status.RUNNING,
        "created_at": LONG_AGO,
    }
    return Session(**(fields | changes))


def request(**changes: Any) -> CommandRequest:
    fields: dict[str, Any] = {"session_id": "0123", "cwd": "/project", "prompt": "Do it"}
    return CommandRequest(**(fields | changes))
