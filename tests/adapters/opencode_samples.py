"""Sessions that the real opencode left, by name, and stores to look for them in."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentctl.adapters.base import CommandRequest
from agentctl.core.model import Session, Status

DATA = Path(__file__).parent.parent / "data" / "opencode"
LOGS = DATA / "logs"

FINISHED = "ses_dfdd44dc5ffewUU8S5CqY9sWpb"
WITH_TOOL = "ses_dfdd44402ffe0Nee54DEE0wVPF"
FAILED_401 = "ses_dfdd42478ffe02Bd7sp6G3AzVy"
NO_MODEL = "ses_dfdd40539ffewH14kbIo2BS6Fa"
REJECTED = "ses_dfdd3fee8ffebKbl7hhvjcufTn"
PARENT = "ses_dfdd3ed26ffegdtE2y5V173HYe"
CHILD = "ses_dfdd3e88effeMgVYTmo4hPxwIH"
KILLED = "ses_dfdd3df64ffedXKC6T4Bu6nWel"
AT_WORK = "ses_dfdd3c7a3ffePeQ02WBSJPiM5j"
LEGACY = "ses_dfdd2ed9bffe7EBPnYq5ALj1cW"
LEGACY_401 = "ses_dfdd2ea24ffeYzwwsOGS3BzBRf"

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def session(session_id: str = "ok-0000", **changes: Any) -> Session:
    fields: dict[str, Any] = {
        "id": session_id,
        "adapter": "opencode",
        "cwd": "/project",
        "status": Status.RUNNING,
        "created_at": LONG_AGO,
    }
    return Session(**(fields | changes))


def request(**changes: Any) -> CommandRequest:
    fields: dict[str, Any] = {"session_id": "0123", "cwd": "/project", "prompt": "Do it"}
    return CommandRequest(**(fields | changes))


def copy_store(directory: Path) -> Path:
    """A database in the mode in which the program keeps it."""
    path = directory / "data" / "opencode.db"
    path.parent.mkdir()
    shutil.copyfile(DATA / "opencode-1.18.33.db", path)
    change(path, "PRAGMA journal_mode = WAL")
    return path


def copy_legacy(directory: Path) -> Path:
    """Where the database would be in a home that only knows the JSON tree."""
    path = directory / "legacy" / "opencode.db"
    shutil.copytree(DATA / "legacy-storage", path.parent / "storage")
    return path


def change(path: Path, sql: str, values: tuple[object, ...] = ()) -> None:
    db = sqlite3.connect(path)
    db.execute(sql, values)
    db.commit()
    db.close()
