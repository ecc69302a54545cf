"""Reading a matrix file, YAML or TOML, and finding the line of each mistake in it.

Must not know what the keys mean: that is `core.plan`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from agentctl.core.plan import MatrixError, MatrixProblem, Path, dotted, read_matrix
from agentctl.core.slots import Matrix
from agentctl.errors import UsageFault
from agentctl.host.text_file import read_text_file
from agentctl.host.toml_file import key_lines, nearest, parse

if TYPE_CHECKING:
    from yaml.nodes import Node

LARGEST = 1_000_000
"""Bytes of a matrix file."""


def load(path: str) -> Matrix:
    """The matrix in this file: TOML if its name ends so, else YAML. Raises UsageFault or NotFound."""
    text = read_text_file(path, what="matrix file", limit=LARGEST, hint="a matrix file is YAML or TOML")
    try:
        data, lines = (parse(path, text), key_lines(text)) if path.endswith(".toml") else _yaml(path, text)
    except RecursionError as error:
        raise UsageFault(f"matrix file {path} is nested too deeply") from error
    try:
        return read_matrix(data)
    except MatrixError as error:
        raise _fault(path, lines, error.problems) from error


Lines = dict[Path, int]


def _fault(path: str, lines: Lines, problems: Sequence[MatrixProblem]) -> UsageFault:
    """One error for all problems: a line each, with its place in the file."""
    told = []
    for problem in problems:
        line = nearest(lines, problem.path)
        hint = f" ({problem.hint})" if problem.hint and len(problems) > 1 else ""
        key = f"{dotted(problem.path)}: " if problem.path else ""
        told.append(f"{path}{f', line {line}' if line else ''}: {key}{problem.text}{hint}")
    return UsageFault("\n".join(told), hint=problems[0].hint if len(problems) == 1 else None)


def _yaml(path: str, text: str) -> tuple[object, Lines]:
    import yaml

    lines: Lines = {}
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is not None:
            twice = []
            for place, line in _walk(node, (), set()):
                if place in lines:
                    twice.append(MatrixProblem(place, f"appears twice, again in line {line}"))
                lines.setdefault(place, line)
            if twice:
                raise _fault(path, lines, twice)
        return yaml.safe_load(text), lines
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise UsageFault(f"{path}{where}: {what}", hint="the file must be valid YAML") from error
    except ValueError as error:  # a date such as 2026-13-40
        raise UsageFault(f"{path}: {error}", hint="put strings that look like dates in quotes") from error


def _walk(node: Node, path: Path, seen: set[int]) -> Iterator[tuple[Path, int]]:
    """Each place of a YAML document with its line, once: an alias leads to nodes that were there before.

    PyYAML itself silently takes the last of two equal keys.
    """
    from yaml.nodes import MappingNode, SequenceNode

    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if key.value != "<<":
                place = (*path, str(key.value))
                yield place, key.start_mark.line + 1
                yield from _walk(value, place, seen)
    elif isinstance(node, SequenceNode):
        for number, item in enumerate(node.value):
            yield (*path, number), item.start_mark.line + 1
            yield from _walk(item, (*path, number), seen)
