"""The only call to the system clock, and the only reading of a file's instant."""

from __future__ import annotations

import os
from datetime import UTC, datetime


def utcnow() -> datetime:
    """This instant, aware, in UTC."""
    return datetime.now(UTC)


def modified_at(stat: os.stat_result) -> datetime:
    """When a file was last written."""
    return datetime.fromtimestamp(stat.st_mtime, UTC)


def from_epoch(seconds: float) -> datetime:
    """The instant so many seconds after the epoch."""
    return datetime.fromtimestamp(seconds, UTC)
