"""The agents that one launch starts; apart from `core.plan`, which a launch of one agent does not need."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Slot(NamedTuple):
    """One agent of a parallel launch; None where the launch as a whole or a default decides."""

    adapter: str
    model: str | None = None
    branch: str | None = None
    base_branch: str | None = None
    prompt: str | None = None


class Matrix(NamedTuple):
    """A matrix file: what is said for all slots, and the slots."""

    slots: tuple[Slot, ...]
    prompt: str | None = None
    cwd: str | None = None
    spec: str | None = None
    hooks: Mapping[str, str] = MappingProxyType({})
