"""A session as an operation found it: the value that every verb about sessions answers with."""

from __future__ import annotations

from typing import NamedTuple

from agentctl.core.model import Fuse, Session, Status, Verdict


class Found(NamedTuple):
    """A session as it is now, tracked or external: the verdict on it and where its log is."""

    verdict: Verdict
    log_path: str | None = None
    depth: int = 0
    """Levels below the session that launched it, in a tree."""

    @property
    def session(self) -> Session:
        return self.verdict.session

    @property
    def fuse(self) -> Fuse | None:
        return self.verdict.fuse

    @property
    def status(self) -> Status:
        return self.verdict.shown

    @property
    def is_external(self) -> bool:
        return self.session.is_external

    @property
    def reason(self) -> str | None:
        return self.verdict.reason or None
