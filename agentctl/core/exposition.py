"""The text format in which Prometheus reads metrics, version 0.0.4.

Must not know any one metric.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Sample(NamedTuple):
    name: str
    labels: Mapping[str, str]
    value: float


class Family(NamedTuple):
    """One metric: its type, its help, and its samples."""

    name: str
    type: str
    """`counter`, `gauge` or `histogram`."""
    help: str
    samples: tuple[Sample, ...]


def exposition(families: Iterable[Family]) -> str:
    """The families as text, each with HELP and TYPE first. ValueError for an invalid name."""
    lines: list[str] = []
    for family in families:
        name = _checked(_METRIC, family.name)
        lines.append(f"# HELP {name} {_escaped(family.help)}")
        lines.append(f"# TYPE {name} {family.type}")
        lines += [_line(sample) for sample in family.samples]
    return "".join(line + "\n" for line in lines)


def _line(sample: Sample) -> str:
    pairs = [f'{_checked(_LABEL, name)}="{_quoted(value)}"' for name, value in sample.labels.items()]
    labels = f"{{{','.join(pairs)}}}" if pairs else ""
    return f"{_checked(_METRIC, sample.name)}{labels} {_number(sample.value)}"


def _number(value: float) -> str:
    if value != value:
        return "NaN"
    if abs(value) == float("inf"):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(value)


def _checked(form: re.Pattern[str], name: str) -> str:
    if not form.fullmatch(name):
        raise ValueError(f"{name!r} is not a valid name for a metric or label")
    return name


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', r"\"")
