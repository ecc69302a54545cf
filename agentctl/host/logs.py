"""Output logs: their last lines, and what is appended to them.

A log may be gigabytes long, grow while it is read, be truncated, or not exist yet. Reading
its end costs no more for a long log. Nothing is cleaned here: the lines may hold control
sequences, and the caller must make them safe to show.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from agentctl.errors import OperationFailed
from agentctl.host.files import open_regular
from agentctl.host.waiting import ticks

BLOCK = 64 * 1024
LINE_LIMIT = 1024 * 1024
"""Bytes shown of one line."""

SEARCH_LIMIT = 64 * 1024 * 1024
"""How far back the beginning of one line is searched for."""

CUT = " … [line cut: longer than 1 MiB]"


class Span(NamedTuple):
    """Offsets in a log: its bytes from `start` up to `end`."""

    start: int
    end: int


def tail_span(path: str, count: int) -> Span:
    """The span of the last `count` lines; `follow` continues from its end."""
    descriptor = _open(path)
    if descriptor is None:
        return Span(0, 0)
    try:
        end = os.fstat(descriptor).st_size
        return Span(_start_of_last(descriptor, end, count), end)
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(descriptor)


def read_span(path: str, start: int, end: int) -> Iterator[bytes]:
    """The bytes from `start` to `end`, in blocks; fewer if the log is shorter by now."""
    if start >= end:
        return
    descriptor = _open(path)
    if descriptor is None:
        return
    try:
        while start < end and (block := os.pread(descriptor, min(BLOCK, end - start), start)):
            start += len(block)
            yield block
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(descriptor)


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """The lines of a stream of bytes, each as soon as it is whole, without its newline.

    Split only at newlines; bytes that are not UTF-8 become replacement characters.
    """
    line = bytearray()
    for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for piece in whole:
            _extend(line, piece)
            yield _decoded(line)
            line.clear()
        _extend(line, rest)
    if line:
        yield _decoded(line)


def follow(path: str, offset: int, is_over: Callable[[], bool], *, interval: float = 0.2) -> Iterator[bytes]:
    """What is appended after `offset`, until `is_over` and all of it was read.

    Waits for a log that does not exist yet; reads a truncated one from its beginning.
    """
    for _ in ticks(interval=interval):
        # Asked before the read: what was written until the end is then read, too.
        over = is_over()
        end = _size(path)
        if end < offset:
            offset = 0
        for chunk in read_span(path, offset, end):
            offset += len(chunk)
            yield chunk
        if over:
            return


def _start_of_last(descriptor: int, end: int, count: int) -> int:
    """Offset of the first of the last `count` lines before `end`, found backwards from there."""
    if count <= 0 or end == 0:
        return end
    # The newline at the very end does not begin another line.
    position = end - 1 if os.pread(descriptor, 1, end - 1) == b"\n" else end
    left, line_length = count, 0
    while position > 0 and line_length < SEARCH_LIMIT:
        begin = max(0, position - BLOCK)
        block = os.pread(descriptor, position - begin, begin)
        found = block.count(b"\n")
        if found >= left:
            return begin + _nth_newline_from_end(block, left) + 1
        left -= found
        line_length = 0 if found else line_length + len(block)
        position = begin
    return position


def _nth_newline_from_end(block: bytes, number: int) -> int:
    index = len(block)
    for _ in range(number):
        index = block.rfind(b"\n", 0, index)
    return index


def _extend(line: bytearray, piece: bytes) -> None:
    """Append, but keep no more than shows that the line is too long."""
    room = LINE_LIMIT + 1 - len(line)
    line += piece[:room] if room < len(piece) else piece


def _decoded(line: bytearray) -> str:
    if len(line) <= LINE_LIMIT:
        return line.decode("utf-8", "replace").removesuffix("\r")
    # An incremental decoder leaves a character out that the cut goes through.
    return codecs.getincrementaldecoder("utf-8")("replace").decode(bytes(line[:LINE_LIMIT])) + CUT


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise _unreadable(path, error) from error


def _open(path: str) -> int | None:
    try:
        return open_regular(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str, error: OSError) -> OperationFailed:
    return OperationFailed(f"log {path} cannot be read: {error.strerror}")
