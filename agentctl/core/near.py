"""What was probably meant by a word that names nothing, and the one way of saying so."""

from __future__ import annotations

from collections.abc import Iterable


def near_matches(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> list[str]:
    """The known words most like `word`, at most two, the closest first."""
    from difflib import get_close_matches

    return get_close_matches(word, list(known), n=2, cutoff=cutoff)


def did_you_mean(near: Iterable[str]) -> str:
    """`did you mean "x" or "y"?`; empty if nothing is near, so that `or` can give another hint."""
    quoted = " or ".join(f'"{word}"' for word in near)
    return f"did you mean {quoted}?" if quoted else ""
