"""Values from JSON that somebody else wrote: of the expected type, or nothing.

Pure, and must not know any agent's vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any


def mapping(value: object) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> list[Mapping[str, Any]]:
    """The elements of a list, each as `mapping` has it; nothing if the value is not a list."""
    return [mapping(element) for element in value] if isinstance(value, list) else []


def string(value: object) -> str | None:
    """The value if it is a string, else None."""
    return value if isinstance(value, str) else None


LARGEST = 2**63 - 1
"""The largest count that a database column holds."""


def integer(value: object) -> int | None:
    """The value if it is a number that can be a count, else None."""
    number = real(value)
    return None if number is None or abs(number) > LARGEST else int(number)


def total(counts: Iterable[int | None]) -> int | None:
    """The sum of those that are known; None for none, or for more than a database column holds."""
    known = [count for count in counts if count is not None]
    summed = sum(known)
    return summed if known and abs(summed) <= LARGEST else None


def real_total(numbers: Iterable[object]) -> float | None:
    """The sum of the finite numbers among these; None for none."""
    known = [number for each in numbers if (number := real(each)) is not None]
    summed = real(sum(known)) if known else None
    return None if summed is None else float(summed)


def real(value: object) -> float | None:
    """The value if it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return value if math.isfinite(value) else None
    except OverflowError:  # a whole number of some hundred digits
        return None
