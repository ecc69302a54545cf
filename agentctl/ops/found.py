"""A session as an operation found it: the value that every verb about sessions answers with."""

from __future__ import annotations

from typing import NamedTuple

from agentctl.core.model import Fuse, Session, Status


class Found(NamedTuple):
    """A session as it is now, tracked or external, with what a document of it needs."""

    session: Session
    fuse: Fuse | None = None
    shown: Status | None = None
    """Where it differs from the row: `stopping` for an agent whose end is not yet recorded."""
    reason: str | None = None
    log_path: str | None = None
    depth: int = 0
    """Levels below the session that launched it, in a tree."""

    @property
    def status(self) -> Status:
        return self.shown or self.session.status

    @property
    def is_external(self) -> bool:
        return self.session.source == "external"
