"""Usage errors that Click finds, in the words and the form of our own."""

from __future__ import annotations

import pytest

from tests.conftest import Run

SHOWN = "--help shows the usage"


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("lst", "unknown command 'lst'", f'did you mean "list"? agentctl {SHOWN}'),
        ("fuse cancle .", "unknown command 'cancle'", f'did you mean "cancel"? agentctl fuse {SHOWN}'),
        ("xyzzy", "unknown command 'xyzzy'", f"agentctl {SHOWN}"),
        ("list --limt 3", "unknown option --limt", f'did you mean "--limit"? agentctl list {SHOWN}'),
        ("list -z", "unknown option -z", f"agentctl list {SHOWN}"),
        ("list --limit", "--limit needs a value", None),
        ("list --quiet=3", "--quiet takes no value", None),
        ("lock", "missing argument: DIR", f"agentctl lock {SHOWN}"),
        ("status", "missing argument: ID", f"agentctl status {SHOWN}"),
        ("completion", "missing argument: SHELL (bash, zsh, fish)", f"agentctl completion {SHOWN}"),
        ("fuse extend .", "missing option: --by", f"agentctl fuse extend {SHOWN}"),
        ("locks a", "unexpected argument: a", f"agentctl locks {SHOWN}"),
        ("locks a b", "unexpected arguments: a b", f"agentctl locks {SHOWN}"),
        (
            "completion zhs",
            "SHELL: 'zhs' is not one of bash, zsh, fish",
            f'did you mean "zsh"? agentctl completion {SHOWN}',
        ),
        (
            "fuse set . --action never",
            "--action: 'never' is not one of stop, none, script, webhook, event",
            ...,
        ),
        ("list --limit x", "--limit: 'x' is not a whole number of 1 or more", ...),
        ("list --limit 0", "--limit: 0 is too small; the least is 1", ...),
        ("logs a -n 2147483648", "--lines: 2147483648 is too large; the most is 2147483647", ...),
        ("hooks retry 0", "DELIVERY_ID: 0 is too small; the least is 1", ...),
        (
            "list --since x",
            "--since: 'x' is neither a duration (10m, 2h, 1d) nor a time (2026-01-31T18:00:00Z)",
            ...,
        ),
        ("stop a --timeout 3x", "--timeout: duration '3x' is not of the form 90s, 10m, 1h30m or 1d", ...),
        (
            "compare x",
            "GROUP: 'x' is not a group: a group is g- and six hex digits, such as g-0a1b2c",
            f"agentctl compare {SHOWN}",
        ),
        ("fuse set . --for 1m --at 2026-01-31", "--for and --at cannot be used together", ...),
        ("wait", "name sessions or give --group, one of them", f"agentctl wait {SHOWN}"),
    ],
)
def test_a_usage_error_is_one_sentence_and_a_hint(run: Run, line: str, message: str, hint: object) -> None:
    told = run(line, exit=2).stderr.splitlines()
    assert told[0] == f"agentctl: {message}"
    if hint is None:
        assert len(told) == 1
    elif hint is not ...:
        assert told[1:] == [f"hint: {hint}"]
    name, _, rest = line.partition(" ")
    words = [name, *rest.split(), "--json"]
    if "--limit" not in words[-2:]:  # it would take --json for its value
        error = run(words, exit=2).error()
        assert error["code"] == "usage"


def test_a_group_alone_shows_its_help_and_with_json_an_object(run: Run) -> None:
    assert "Usage: agentctl fuse" in run("fuse", exit=2).stderr
    error = run("--json", exit=2).error()
    assert error == {"code": "usage", "message": "unknown option --json", "hint": f"agentctl {SHOWN}"}
