"""What is wrong with an adapter's table, given the options that the adapter reads."""

from __future__ import annotations

from typing import Any

import pytest

from agentctl.adapters.base import Option
from agentctl.core.options import option_problems, option_value
from agentctl.core.settings import Problem

MODE = Option("mode", "Its mode.", choices=("fast", "careful"))
TOOLS = Option("tools", "Its tools.", choices=("read", "write"), kind=list)
LOUD = Option("loud", "Whether it is loud.", kind=bool)
EXTRA = Option("extra", "A table.", kind=dict)
OPTIONS = (MODE, TOOLS, LOUD, EXTRA)


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"command": "x", "model": "m", "args": ["-v"]},
        {"mode": "fast", "tools": [], "loud": False, "extra": {"anything": [1, {}]}},
        {"command": 5},  # the schema's business
    ],
)
def test_nothing_wrong(table: dict[str, Any]) -> None:
    assert option_problems("a", table, OPTIONS) == []


@pytest.mark.parametrize(
    ("table", "key", "text", "hint"),
    [
        ({"lood": True}, "adapters.a.lood", "is not a setting", 'did you mean "adapters.a.loud"?'),
        ({"arg": []}, "adapters.a.arg", "is not a setting", 'did you mean "adapters.a.args"?'),
        (
            {"x": 1},
            "adapters.a.x",
            "is not a setting",
            "[adapters.a] takes command, model, args, mode, tools, loud, extra",
        ),
        ({"mode": True}, "adapters.a.mode", "must be a quoted string", None),
        ({"mode": "slow"}, "adapters.a.mode", "cannot be 'slow' (allowed: fast, careful)", None),
        ({"tools": "read"}, "adapters.a.tools", "must be a list of strings", None),
        ({"tools": ["read", 5]}, "adapters.a.tools", "must be a list of strings", None),
        (
            {"tools": ["reed"]},
            "adapters.a.tools",
            "cannot be 'reed', did you mean \"read\"? (allowed: read, write)",
            None,
        ),
        ({"loud": "true"}, "adapters.a.loud", "must be true or false", None),
        ({"loud": 1}, "adapters.a.loud", "must be true or false", None),
        ({"extra": []}, "adapters.a.extra", "must be a table", None),
    ],
)
def test_something_wrong(table: dict[str, Any], key: str, text: str, hint: str | None) -> None:
    assert option_problems("a", table, OPTIONS) == [Problem(key, text, hint)]


def test_every_problem_is_found_in_the_tables_order() -> None:
    table = {"loud": 5, "nothing": 1, "mode": "fast", "tools": 1}
    assert [problem.key for problem in option_problems("a", table, OPTIONS)] == [
        "adapters.a.loud",
        "adapters.a.nothing",
        "adapters.a.tools",
    ]


def test_values_from_words() -> None:
    assert option_value(MODE, ["fast"]) == "fast"
    assert option_value(TOOLS, ["read"]) == ["read"]
    assert option_value(LOUD, ["true"]) is True
    for option, words in ((MODE, ["fast", "fast"]), (LOUD, ["yes"]), (TOOLS, ["x"]), (EXTRA, ["x"])):
        with pytest.raises(ValueError, match=r"takes one|must be|cannot be|is a table"):
            option_value(option, words)
