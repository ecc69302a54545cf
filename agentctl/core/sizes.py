"""Sizes as people write them: "10MB" → bytes."""

from __future__ import annotations

import re

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
LIMIT = 2**60


def parse_size(text: str) -> int:
    """Bytes of `500k`, `10MB`, `1.5GiB`, `4096`. Raises ValueError with one plain clause."""
    found = _SIZE.fullmatch(text.strip())
    if found is None or (found[3] and not found[2]):
        raise ValueError(f"size {_quoted(text)} is not of the form 500k, 10MB or 1GiB")
    base = 1024 if found[3] else 1000
    size = float(found[1]) * base ** " kmgt".index(found[2].lower() or " ")
    if size > LIMIT:
        raise ValueError(f"size {_quoted(text)} is larger than any file")
    if size < 1:
        raise ValueError(f"size {_quoted(text)} must be at least one byte")
    return int(size)


def _quoted(text: str) -> str:
    shown = text if len(text) <= 40 else text[:39] + "…"
    return f"'{shown}'" if shown.isprintable() else ascii(shown)


def format_size(count: int) -> str:
    """`1.4 MB`; units of a thousand."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
