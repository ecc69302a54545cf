"""The end of a log and what is appended to it: exact, bounded, and never raising on odd bytes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentctl.errors import OperationFailed
from agentctl.host import logs

if TYPE_CHECKING:
    from tests.conftest import WaitUntil


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "output.log"


def last(log: Path, count: int) -> list[str]:
    return list(logs.lines(logs.read_span(str(log), *logs.tail_span(str(log), count))))


@pytest.mark.parametrize(
    ("data", "count", "expected"),
    [
        (b"", 5, []),
        (b"\n", 5, [""]),
        (b"a", 5, ["a"]),
        (b"a\n", 5, ["a"]),
        (b"a\nb\nc\n", 2, ["b", "c"]),
        (b"a\nb\nc", 2, ["b", "c"]),
        (b"a\nb\nc\n", 3, ["a", "b", "c"]),
        (b"a\nb\nc\n", 1, ["c"]),
        (b"a\nb\nc\n", 0, []),
        (b"a\n\n\n", 2, ["", ""]),
        (b"a\r\nb\r\n", 2, ["a", "b"]),
        ("one\u2028line\n".encode(), 5, ["one\u2028line"]),
        (b"\xff\xfe\n\x00ok\n", 2, ["\ufffd\ufffd", "\x00ok"]),
    ],
)
def test_last_lines(log: Path, data: bytes, count: int, expected: list[str]) -> None:
    log.write_bytes(data)
    assert last(log, count) == expected


def test_a_missing_log_has_no_lines(log: Path) -> None:
    assert last(log, 5) == []
    assert logs.tail_span(str(log), 5) == (0, 0)
    assert list(logs.read_span(str(log), 0, 10)) == []


def test_a_directory_is_named_in_the_error(tmp_path: Path) -> None:
    with pytest.raises(OperationFailed, match=str(tmp_path)):
        last(tmp_path, 5)


@pytest.mark.parametrize("count", [1, 2, 999, 1000, 5000])
def test_lines_are_found_across_blocks(log: Path, count: int) -> None:
    written = [f"{number} {'ä' * (number % 97)}" for number in range(5000)]
    log.write_text("".join(f"{line}\n" for line in written))
    assert log.stat().st_size > 3 * logs.BLOCK
    assert last(log, count) == written[-count:]


@pytest.mark.parametrize("shift", range(3))
def test_a_newline_at_the_border_of_a_block(log: Path, shift: int) -> None:
    log.write_bytes(b"first\n" + b"x" * (logs.BLOCK - shift) + b"\n")
    assert last(log, 2) == ["first", "x" * (logs.BLOCK - shift)]


def test_more_lines_than_there_are(log: Path) -> None:
    log.write_text("a\nb\n")
    assert last(log, 10**9) == ["a", "b"]


def test_only_the_end_of_a_huge_log_is_read(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open(log, "wb") as file:
        file.truncate(2 * 1024**3)  # sparse: costs no disk
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + b"".join(b"line %d\n" % number for number in range(1000)))
    read: list[int] = []
    pread = os.pread

    def counted(descriptor: int, length: int, offset: int) -> bytes:
        data = pread(descriptor, length, offset)
        read.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", counted)
    assert last(log, 50) == [f"line {number}" for number in range(950, 1000)]
    assert sum(read) <= 2 * logs.BLOCK + 1


def test_a_long_line_is_cut_and_marked(log: Path) -> None:
    log.write_bytes(b"before\n" + b"x" * (logs.LINE_LIMIT + 1) + b"\nafter\n")
    before, long, after = last(log, 3)
    assert (before, after) == ("before", "after")
    assert long == "x" * logs.LINE_LIMIT + logs.CUT


def test_a_line_of_just_the_limit_is_whole(log: Path) -> None:
    log.write_bytes(b"x" * logs.LINE_LIMIT + b"\n")
    assert last(log, 1) == ["x" * logs.LINE_LIMIT]


def test_a_cut_leaves_no_half_character(log: Path) -> None:
    log.write_bytes(b"x" * (logs.LINE_LIMIT - 1) + "äöü".encode())
    assert last(log, 1) == ["x" * (logs.LINE_LIMIT - 1) + logs.CUT]


def test_the_beginning_of_an_endless_line_is_not_looked_for(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "SEARCH_LIMIT", 4 * logs.BLOCK)
    log.write_bytes(b"a\n" + b"x" * (20 * logs.BLOCK))
    start, end = logs.tail_span(str(log), 3)
    assert end - start == 4 * logs.BLOCK


def test_a_span_can_be_shorter_than_asked_for(log: Path) -> None:
    log.write_bytes(b"abc")
    assert b"".join(logs.read_span(str(log), 1, 100)) == b"bc"


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_lines_do_not_depend_on_where_the_bytes_are_split(size: int) -> None:
    data = "ä\n\n€uro 🙂\r\nend".encode()
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    assert list(logs.lines(chunks)) == ["ä", "", "€uro 🙂", "end"]


def test_a_line_comes_as_soon_as_it_is_whole() -> None:
    asked: list[bytes] = []

    def chunks() -> Iterator[bytes]:
        for chunk in (b"a", b"b\nc", b"d\n"):
            asked.append(chunk)
            yield chunk

    stream = logs.lines(chunks())
    assert next(stream) == "ab"
    assert asked == [b"a", b"b\nc"]


def steps(*actions: object) -> Iterator[bool]:
    """One answer of `is_over` for each action; the last one says that it is over."""
    for number, action in enumerate(actions):
        if callable(action):
            action()
        yield number == len(actions) - 1


def followed(log: Path, offset: int, *actions: object) -> bytes:
    answers = steps(*actions)
    return b"".join(logs.follow(str(log), offset, lambda: next(answers), interval=0.001))


def append(log: Path, data: bytes) -> None:
    with open(log, "ab") as file:
        file.write(data)


def test_follow_starts_at_the_offset_and_reads_to_the_end(log: Path) -> None:
    log.write_bytes(b"old")
    assert followed(log, 3, lambda: append(log, b" new"), None, lambda: append(log, b" last")) == b" new last"


def test_follow_of_an_ended_session_reads_what_is_there(log: Path) -> None:
    log.write_bytes(b"all of it")
    assert followed(log, 0, None) == b"all of it"


def test_follow_waits_for_a_log_that_is_not_there_yet(log: Path) -> None:
    assert followed(log, 0, None, None, lambda: log.write_bytes(b"late"), None) == b"late"


def test_follow_begins_again_after_a_truncation(log: Path) -> None:
    log.write_bytes(b"a long beginning")
    assert followed(log, 16, None, lambda: log.write_bytes(b"new"), lambda: append(log, b"er")) == b"newer"


def test_follow_survives_the_removal_of_the_log(log: Path) -> None:
    log.write_bytes(b"gone")
    assert followed(log, 0, None, log.unlink, None) == b"gone"


def test_follow_of_a_real_writer(log: Path, wait_until: WaitUntil) -> None:
    """Everything that is written before the end arrives, in order, while it is being written."""
    over = threading.Event()
    got = bytearray()

    def read(chunks: Iterable[bytes]) -> None:
        for chunk in chunks:
            got.extend(chunk)

    stream = logs.follow(str(log), 0, over.is_set, interval=0.005)
    reader = threading.Thread(target=read, args=(stream,))
    reader.start()
    written = [b"line %d\n" % number * 1000 for number in range(20)]
    for data in written[:10]:
        append(log, data)
    wait_until(lambda: len(got) == sum(map(len, written[:10])))
    for data in written[10:]:
        append(log, data)
    over.set()
    reader.join(timeout=10)
    assert bytes(got) == b"".join(written)
