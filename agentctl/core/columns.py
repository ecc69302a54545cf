"""Fitting a table into a terminal: which columns stay, and how wide each may be.

Must not draw anything: the cells come back cut, in the order they were given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agentctl.core.text import display_width, truncate

GAP = 2
NARROWEST = 60
"""No table is fitted below this: with fewer columns left it would say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of clean, one-line cells."""

    title: str
    cells: tuple[str, ...]
    floor: int | None = None
    """How narrow it may get; None for a column that is shown whole."""
    shrinks: int = 0
    """Its turn to shrink: 1 is the first."""
    leaves: int = 0
    """Its turn to be left out where shrinking is not enough: 1 is the first, 0 is never."""
    keeps_end: bool = False
    """Cut at the front: the end of a path says more than its beginning."""

    @property
    def width(self) -> int:
        return max(map(display_width, (self.title, *self.cells)))


def fit(columns: Sequence[Column], width: int) -> list[Column]:
    """The columns that fit into `width`, their cells cut where they had to shrink."""
    width = max(width, NARROWEST)
    kept = list(columns)
    while True:
        widths, excess = _shrunk(kept, width)
        leaving = [column for column in kept if column.leaves]
        if excess <= 0 or not leaving:
            return [_cut(column, to) for column, to in zip(kept, widths, strict=True)]
        kept.remove(min(leaving, key=lambda column: column.leaves))


def _shrunk(columns: Sequence[Column], width: int) -> tuple[list[int], int]:
    widths = [column.width for column in columns]
    excess = sum(widths) + GAP * (len(columns) - 1) - width
    for index in sorted(range(len(columns)), key=lambda index: columns[index].shrinks):
        floor = columns[index].floor
        if floor is None or excess <= 0:
            continue
        less = max(0, min(excess, widths[index] - max(floor, len(columns[index].title))))
        widths[index] -= less
        excess -= less
    return widths, excess


def _cut(column: Column, width: int) -> Column:
    if column.width <= width:
        return column
    cut = _end if column.keeps_end else truncate
    cells = tuple(cut(cell, width) for cell in column.cells)
    return Column(title=truncate(column.title, width), cells=cells)


def _end(line: str, width: int) -> str:
    return truncate(line[::-1], width)[::-1]
