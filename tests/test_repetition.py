"""No two functions of the package have the same logic.

Compared are syntax trees in which names, attributes' owners and constants count as equal:
two functions that differ in these alone are one function with another argument.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "agentctl"

SMALLEST = 30
"""Nodes of the smallest tree that counts: below it are single queries and delegations."""


class _SameNames(ast.NodeTransformer):
    """Numbers names in the order in which they appear, and makes all constants one."""

    def __init__(self) -> None:
        self.numbers: dict[str, str] = {}

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(id=self._number(node.id), ctx=node.ctx)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(arg=self._number(node.arg))

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant(value="constant")

    def _number(self, name: str) -> str:
        return self.numbers.setdefault(name, f"name {len(self.numbers)}")


def shape_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[str, int]:
    """What a function does, whatever it calls things, and how many nodes say so."""
    copy = ast.parse(ast.unparse(function)).body[0]
    assert isinstance(copy, ast.FunctionDef | ast.AsyncFunctionDef)
    if ast.get_docstring(copy) is not None:
        copy.body = copy.body[1:] or [ast.Pass()]
    copy.name, copy.returns, copy.decorator_list = "function", None, []
    tree = _SameNames().visit(copy)
    return ast.dump(tree), sum(1 for _ in ast.walk(tree))


def repeated(sources: dict[str, str]) -> list[list[str]]:
    """Groups of functions with one shape, each as `where:line name`."""
    found: dict[str, list[str]] = defaultdict(list)
    for where, text in sources.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                shape, size = shape_of(node)
                if size >= SMALLEST:
                    found[shape].append(f"{where}:{node.lineno} {node.name}")
    return [places for places in found.values() if len(places) > 1]


def test_no_two_functions_have_the_same_logic() -> None:
    sources = {
        path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(PACKAGE.rglob("*.py"))
    }
    groups = repeated(sources)
    assert not groups, "\n".join(" = ".join(places) for places in groups)


def test_the_check_sees_through_other_names_and_constants() -> None:
    one = "def total(rows):\n    found = [r.cost for r in rows if r.cost > 0]\n    return sum(found) or 0\n"
    other = "def cost(xs):\n    'Doc.'\n    y = [x.cost for x in xs if x.cost > 1]\n    return sum(y) or 1\n"
    different = other.replace("x.cost >", "x.turns >")
    assert repeated({"a.py": one, "b.py": other}) == [["a.py:1 total", "b.py:1 cost"]]
    assert not repeated({"a.py": one, "b.py": different})
