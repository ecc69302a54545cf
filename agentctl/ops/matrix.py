"""Matrix files for commands, which do not read files themselves."""

from __future__ import annotations

from agentctl.core.plan import Matrix
from agentctl.host import matrix


def load(path: str) -> Matrix:
    """The matrix in this file. Raises UsageFault with file, line and key, or NotFound."""
    return matrix.load(path)
