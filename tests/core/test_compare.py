"""Diffstats, files in common, and what a hook said."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agentctl.core.compare import Changes, FileChange, HookResult, hook_result, in_common, read_numstat
from agentctl.core.ledger import Delivery, DeliveryKind, DeliveryState

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def changes(place: str, *paths: str, repository: str = "/r/.git") -> Changes:
    return Changes("base", tuple(FileChange(path, 1, 2) for path in paths), repository, place)


def delivery(**changes: object) -> Delivery:
    values: dict[str, object] = {
        "id": 1,
        "kind": DeliveryKind.HOOK,
        "name": "on_complete",
        "target": "make test",
        "event_id": "e",
        "payload": {},
        "created_at": NOON,
        "state": DeliveryState.DONE,
    }
    return Delivery(**(values | changes))  # type: ignore[arg-type]  # each has its own type


def test_numstat_is_read_whatever_the_names() -> None:
    records = ["1\t2\ta", "-\t-\tbin", "0\t3\tta\tb\nc", "4\t0\t\udcff"]
    assert read_numstat(records) == [
        FileChange("a", 1, 2),
        FileChange("bin", None, None),
        FileChange("ta\tb\nc", 0, 3),
        FileChange("\udcff", 4, 0),
    ]
    assert read_numstat([]) == []
    with pytest.raises(ValueError, match="unpack"):
        read_numstat(["something else"])


def test_sums_leave_out_what_is_not_counted() -> None:
    some = Changes(
        "b", (FileChange("a", 1, 2), FileChange("bin", None, None), FileChange("c", 3, 0)), "/r", "/w"
    )
    assert (some.added, some.deleted) == (4, 2)


def test_a_file_is_in_common_where_it_differs_in_several_places() -> None:
    seen = {
        "one": changes("/w1", "a", "b"),
        "two": changes("/w2", "b", "c"),
        "three": changes("/w3", "c", "b"),
        "other": changes("/w4", "a", repository="/other/.git"),
    }
    assert in_common(seen) == {"b": ("one", "two", "three"), "c": ("two", "three")}
    assert in_common({"one": changes("/w1", "a"), "two": changes("/w1", "a")}) == {}
    assert in_common({}) == {}


def test_two_repositories_may_have_a_file_of_the_same_name_in_common_each() -> None:
    seen = {
        f"{where}{number}": changes(f"/{where}{number}", "a", repository=where)
        for where in ("x", "y")
        for number in (1, 2)
    }
    assert in_common(seen) == {"a": ("x1", "x2", "y1", "y2")}


@pytest.mark.parametrize(
    ("state", "error", "output", "code", "line"),
    [
        (DeliveryState.DONE, None, "3 passed\n\n", 0, "3 passed"),
        (DeliveryState.FAILED, "exit 2", "a\n  1 failed \n", 2, "1 failed"),
        (DeliveryState.FAILED, "ended at its limit of 300 s", None, None, None),
        (DeliveryState.PENDING, None, None, None, None),
        (DeliveryState.FAILED, "exit 1", "\x1b[31mred\x1b[0m\r\n", 1, "red"),
    ],
)
def test_what_the_hook_said(
    state: DeliveryState, error: str | None, output: str | None, code: int | None, line: str | None
) -> None:
    newest = delivery(state=state, last_error=error, output=output)
    others = [delivery(kind="webhook"), delivery(name="on_create"), newest, delivery(output="older")]
    assert hook_result(others) == HookResult(state, code, error, line)
    assert hook_result(others[:2]) is None
