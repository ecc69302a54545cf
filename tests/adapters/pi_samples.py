"""Logs and session files of the real pi by name, and stores to look for them in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agentctl.adapters.base import CommandRequest, Process
from agentctl.core.model import Session, Status

DATA = Path(__file__).parent.parent / "data" / "pi"
LOGS = DATA / "logs"
SESSIONS = DATA / "sessions"
VERSIONS = ("0.73.1", "1.5.2")
PROJECT = "/home/dev/project"
SLUG = "--home-dev-project--"
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def session(**changes: Any) -> Session:
    fields: dict[str, Any] = {
        "id": "0123abcd-0000",
        "adapter": "pi",
        "cwd": PROJECT,
        "status": Status.RUNNING,
        "created_at": LONG_AGO,
    }
    return Session(**(fields | changes))


def request(**changes: Any) -> CommandRequest:
    fields: dict[str, Any] = {"session_id": "0123", "cwd": PROJECT, "prompt": "Do it"}
    return CommandRequest(**(fields | changes))


def log(version: str, name: str) -> str:
    return str(LOGS / version / f"{name}.jsonl")


def header(version: str, name: str) -> dict[str, Any]:
    """The header that a recorded run printed."""
    found: dict[str, Any] = json.loads(Path(log(version, name)).read_text().splitlines()[0])
    return found


def keep(store: Path, version: str, name: str, *, flat: bool = False) -> Path:
    """The file of a recorded run where pi puts it: under its project's directory, or flat."""
    told = header(version, name)
    place = store if flat else store / SLUG
    place.mkdir(parents=True, exist_ok=True)
    stamp = str(told["timestamp"]).replace(":", "-").replace(".", "-")
    path = place / f"{stamp}_{told['id']}.jsonl"
    shutil.copyfile(SESSIONS / version / f"{name}.jsonl", path)
    return path


def write(path: Path, *records: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


def answer(**changes: Any) -> dict[str, Any]:
    """An assistant's message that counts 10 and 3 tokens."""
    usage = {"input": 10, "output": 3, "cacheRead": 0, "cacheWrite": 0, "cost": {"total": 0.25}}
    message: dict[str, Any] = {
        "role": "assistant",
        "content": [{"type": "text", "text": "Hi"}],
        "provider": "mock",
        "model": "ok",
        "usage": usage,
        "stopReason": "stop",
    }
    return message | changes


def process(
    started_at: datetime, *, pid: int = 4711, cwd: str = PROJECT, argv: tuple[str, ...] = ("pi",)
) -> Process:
    return Process(pid=pid, argv=argv, started_at=started_at, start_token="t", cwd=cwd)


def shortly_before(at: datetime) -> datetime:
    return at - timedelta(seconds=1)
