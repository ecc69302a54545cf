"""Slots, the expansion of a matrix, and the names that come of them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from agentctl.core import plan
from agentctl.core.plan import MAX_SLOTS, MatrixError, branches, read_matrix, slug, suffixes
from agentctl.core.slots import Slot

EXPANDED: list[tuple[list[Any], list[Slot]]] = [
    ([{"adapter": "a"}], [Slot("a")]),
    ([{"adapter": "a", "model": "x"}], [Slot("a", "x")]),
    ([{"adapter": "a", "model": ["x", "y"]}, {"adapter": "b"}], [Slot("a", "x"), Slot("a", "y"), Slot("b")]),
    (
        [{"adapter": ["a", "b"], "model": ["x", "y"]}],
        [Slot("a", "x"), Slot("a", "y"), Slot("b", "x"), Slot("b", "y")],
    ),
    ([{"adapter": ["a", "a"]}], [Slot("a"), Slot("a")]),
    ([{"adapter": "a", "model": None}], [Slot("a")]),
    ([{"adapter": "a", "branch": "f", "base_branch": "main"}], [Slot("a", None, "f", "main")]),
    (
        [{"adapter": "a", "baseBranch": ["main", "next"]}],
        [Slot("a", base_branch="main"), Slot("a", base_branch="next")],
    ),
    ([{"adapter": "a", "prompt": ["one", "two"]}], [Slot("a", prompt="one"), Slot("a", prompt="two")]),
]


@pytest.mark.parametrize(("entries", "slots"), EXPANDED)
def test_a_matrix_is_the_product_of_its_lists(entries: list[Any], slots: list[Slot]) -> None:
    assert read_matrix({"matrix": entries}).slots == tuple(slots)


def test_what_is_said_for_all_slots() -> None:
    read = read_matrix(
        {
            "prompt": "p",
            "cwd": "~/c",
            "spec": "s.md",
            "hooks": {"on_create": "make"},
            "matrix": [{"adapter": "a"}],
        }
    )
    assert (read.prompt, read.cwd, read.spec, read.hooks) == ("p", "~/c", "s.md", {"on_create": "make"})


WRONG: list[tuple[object, tuple[Any, ...], str]] = [
    (None, (), "must be a table"),
    ([], (), "must be a table"),
    ({}, ("matrix",), "at least one entry"),
    ({"matrix": []}, ("matrix",), "at least one entry"),
    ({"matrix": {}}, ("matrix",), "at least one entry"),
    ({"matrix": ["a"]}, ("matrix", 0), "must be a table"),
    ({"matrix": [{}]}, ("matrix", 0), "has no adapter"),
    ({"matrix": [{"adapter": None}]}, ("matrix", 0), "has no adapter"),
    ({"matrix": [{"adapter": " "}]}, ("matrix", 0, "adapter"), "must not be empty"),
    ({"matrix": [{"adapter": "a\0"}]}, ("matrix", 0, "adapter"), "NUL"),
    ({"matrix": [{"adapter": "a", "model": 4.5}]}, ("matrix", 0, "model"), "not float 4.5"),
    ({"matrix": [{"adapter": "a", "model": ["x", True]}]}, ("matrix", 0, "model", 1), "not bool True"),
    ({"matrix": [{"adapter": "a", "model": ["x", None]}]}, ("matrix", 0, "model", 1), "must be a string"),
    ({"matrix": [{"adapter": "a", "model": [["x"]]}]}, ("matrix", 0, "model", 0), "must be a string"),
    ({"matrix": [{"adapter": "a", "model": []}]}, ("matrix", 0, "model"), "empty list"),
    ({"matrix": [{"adapter": "a", "modle": "x"}]}, ("matrix", 0, "modle"), "is not a key"),
    ({"matrix": [{"adapter": "a"}], "promt": "x"}, ("promt",), "is not a key"),
    ({"matrix": [{"adapter": "a"}], "prompt": 3}, ("prompt",), "not int 3"),
    ({"matrix": [{"adapter": "a"}], "hooks": "make"}, ("hooks",), "must be a table"),
    ({"matrix": [{"adapter": "a"}], "hooks": {"on_start": "x"}}, ("hooks", "on_start"), "is not a key"),
]


@pytest.mark.parametrize(("data", "path", "text"), WRONG)
def test_what_is_wrong_is_named_with_its_place(data: object, path: tuple[Any, ...], text: str) -> None:
    with pytest.raises(MatrixError) as caught:
        read_matrix(data)
    (problem, *_) = caught.value.problems
    assert problem.path == path
    assert text in problem.text


def test_all_that_is_wrong_is_told_at_once_with_what_was_meant() -> None:
    with pytest.raises(MatrixError) as caught:
        read_matrix({"promt": "x", "matrix": [{"adapter": "a", "brnch": "x"}, {}]})
    problems = caught.value.problems
    assert [plan.dotted(one.path) for one in problems] == ["promt", "matrix[0].brnch", "matrix[1]"]
    assert "prompt" in (problems[0].hint or "")
    assert "branch" in (problems[1].hint or "")


def test_the_number_of_slots_is_limited_before_they_are_made() -> None:
    many = [str(number) for number in range(1000)]
    bomb = {"adapter": many, "model": many, "branch": many, "prompt": many}
    with pytest.raises(MatrixError, match=f"1000000000000 slots; at most {MAX_SLOTS}"):
        read_matrix({"matrix": [bomb]})
    assert len(read_matrix({"matrix": [{"adapter": many[:MAX_SLOTS]}]}).slots) == MAX_SLOTS


# fmt: off
NAMED: list[tuple[list[Slot], list[str]]] = [
    ([Slot("claude-code"), Slot("codex")], ["claude-code", "codex"]),
    ([Slot("claude-code", "opus")], ["claude-code"]),
    ([Slot("a", "x/Opus-4.5"), Slot("a", "sonnet")], ["a-opus-4.5", "a-sonnet"]),
    ([Slot("a"), Slot("a", "x")], ["a", "a-x"]),
    ([Slot("a"), Slot("a"), Slot("a")], ["a", "a-2", "a-3"]),
    ([Slot("a", "x"), Slot("a", "y/x")], ["a-x", "a-x-2"]),
    ([Slot("a", "x"), Slot("a", "X")], ["a-x", "a-x-2"]),
    ([Slot("a"), Slot("a"), Slot("a-2")], ["a", "a-3", "a-2"]),
    ([Slot("a", "äö"), Slot("a", "..")], ["a-x", "a-x-2"]),
]
# fmt: on


@pytest.mark.parametrize(("slots", "names"), NAMED)
def test_each_slot_has_a_readable_name_of_its_own(slots: list[Slot], names: list[str]) -> None:
    assert suffixes(slots) == names


@pytest.mark.parametrize("slots", [case for case, _ in NAMED])
def test_names_differ_on_a_file_system_that_ignores_case(slots: list[Slot]) -> None:
    names = [name.casefold() for name in suffixes(slots)]
    assert len(set(names)) == len(names)


def test_branches_are_the_groups_or_the_users() -> None:
    slots = [Slot("a"), Slot("b", branch="fix"), Slot("c", branch="both"), Slot("d", branch="both")]
    assert branches(slots, "g-123456") == ["try/g-123456/a", "fix", "both-c", "both-d"]


def test_a_branch_of_several_slots_does_not_become_that_of_another() -> None:
    slots = [Slot("c", branch="both"), Slot("d", branch="both"), Slot("e", branch="both-c")]
    assert branches(slots, "g-123456") == ["both-c", "both-d", "both-c-2"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("try/g-1/a", "try-g-1-a"),
        ("a b\nc", "a-b-c"),
        ("../../etc", "etc"),
        ("a..b", "a.b"),
        ("-x-", "x"),
        (".hidden", "hidden"),
        ("end.", "end"),
        ("x.lock", "x-lock"),
        ("ünïcode", "n-code"),
        ("", "x"),
        ("///", "x"),
        ("y" * 300, "y" * 80),
    ],
)
def test_a_slug_is_a_part_of_a_branch_and_of_a_file_name(text: str, expected: str) -> None:
    assert slug(text) == expected
    assert re.fullmatch(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?", slug(text))


def test_a_worktree_is_beside_its_repository_at_a_free_path() -> None:
    taken = {"/src/site-a-b", "/src/site-a-b-2"}
    assert plan.worktree_path("/src/site", "a/b", lambda _: False) == "/src/site-a-b"
    assert plan.worktree_path("/src/site", "a/b", taken.__contains__) == "/src/site-a-b-3"
    assert plan.worktree_path("/src/site.git", "main", lambda _: False) == "/src/site-main"
