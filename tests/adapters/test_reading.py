"""Bounded reading of logs: where lines are cut, and what is passed over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentctl.adapters import reading, values

Read = Callable[[str, int], list[str]]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "output.log"
    path.write_bytes(b"one\ntwo\nthree\n")
    return path


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (3, []),
        (4, ["one"]),
        (7, ["one"]),
        (8, ["one", "two"]),
        (13, ["one", "two"]),
        (14, ["one", "two", "three"]),
        (1000, ["one", "two", "three"]),
    ],
)
def test_head_leaves_out_the_line_that_the_limit_cuts(log: Path, limit: int, expected: list[str]) -> None:
    assert reading.head_lines(str(log), limit) == expected


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (5, []),
        (6, ["three"]),
        (9, ["three"]),
        (10, ["two", "three"]),
        (13, ["two", "three"]),
        (14, ["one", "two", "three"]),
        (1000, ["one", "two", "three"]),
    ],
)
def test_tail_leaves_out_the_line_that_the_limit_cuts(log: Path, limit: int, expected: list[str]) -> None:
    assert reading.tail_lines(str(log), limit) == expected


@pytest.mark.parametrize("read", [reading.head_lines, reading.tail_lines])
class TestBothEnds:
    def test_a_half_written_last_line_is_kept(self, log: Path, read: Read) -> None:
        log.write_bytes(b'{"a":1}\n{"b":')
        assert read(str(log), 100) == ['{"a":1}', '{"b":']

    def test_bytes_that_are_no_text(self, log: Path, read: Read) -> None:
        log.write_bytes(b"a\xff\xfeb\r\n\x00\n")
        assert read(str(log), 100) == ["a\ufffd\ufffdb", "\x00"]

    def test_only_newlines_end_a_line(self, log: Path, read: Read) -> None:
        log.write_text('{"a":"x\u2028y\x0bz"}\n', encoding="utf-8")
        assert read(str(log), 100) == ['{"a":"x\u2028y\x0bz"}']

    def test_a_line_longer_than_the_limit(self, log: Path, read: Read) -> None:
        log.write_bytes(b"x" * 5000)
        assert read(str(log), 4096) == []

    def test_a_sparse_giant_costs_no_more_than_the_limit(self, log: Path, read: Read) -> None:
        with log.open("r+b") as file:
            file.truncate(1 << 40)
            file.seek(0, 2)
            file.write(b"\nlast\n")
        assert len(read(str(log), 4096)) <= 3

    @pytest.mark.parametrize("content", [b"", b"\n"])
    def test_nothing_to_read(self, log: Path, read: Read, content: bytes) -> None:
        log.write_bytes(content)
        assert read(str(log), 100) == ([""] if content else [])

    def test_what_is_no_file(self, tmp_path: Path, read: Read) -> None:
        assert read(str(tmp_path), 100) == []
        assert read(str(tmp_path / "none"), 100) == []


def test_json_objects_passes_over_everything_else() -> None:
    lines = ["", "plain", "[1]", '"text"', '{"half":', ' {"a": 1} ', "{}", '{"b": "\\ud83d"}', "{" * 100_000]
    assert list(reading.json_objects(lines)) == [{"a": 1}, {}, {"b": "\ud83d"}]


@pytest.mark.parametrize(
    ("value", "integer", "real"),
    [
        (2**63 - 1, 2**63 - 1, 2**63 - 1),
        (2**64, None, 2**64),
        (10**400, None, None),
        (3, 3, 3),
        (2.9, 2, 2.9),
        (True, None, None),
        ("3", None, None),
        (None, None, None),
        (float("nan"), None, None),
        (float("inf"), None, None),
    ],
)
def test_numbers(value: object, integer: int | None, real: float | None) -> None:
    assert values.integer(value) == integer
    assert values.real(value) == real


@pytest.mark.parametrize("value", ["now", None, True, 1e300, -1e300, float("nan"), {}])
def test_what_is_no_instant(value: object) -> None:
    assert reading.instant(value) is None


def test_an_instant_is_utc() -> None:
    assert reading.instant(1795332747834) == datetime(2026, 11, 22, 7, 32, 27, 834000, tzinfo=UTC)


def test_values_of_the_wrong_kind() -> None:
    assert values.mapping([1]) == {}
    assert values.mapping({"a": 1}) == {"a": 1}
    assert values.string(1) is None
    assert values.string("a") == "a"
