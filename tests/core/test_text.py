"""Hostile text: nothing that a terminal would obey survives."""

from __future__ import annotations

import time

import pytest

from agentctl.core.text import clean, display_width, one_line, truncate


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("plain", "plain"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[H\x1b[?1049hgone", "gone"),
        ("\x9b31mred", "red"),
        ("\x1b]0;owned\x07title", "title"),
        ("\x1b]0;owned\x1b\\title", "title"),
        ("\x9d0;owned\x9ctitle", "title"),
        ("\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\ here", "click here"),
        ("\x1b]52;c;aGVsbG8=\x07clipboard", "clipboard"),
        ("\x1bPq#0;2;0;0;0\x1b\\sixel", "sixel"),
        ("\x1b_Gi=1;AAAA\x1b\\kitty", "kitty"),
        ("\x1b^private\x1b\\message", "message"),
        ("\x1b]0;never ended\nnext line", "\nnext line"),
        ("\x1b]0;never ended", ""),
        ("\x1b(Bset\x1bc\x1b=\x1b7", "set"),
        ("ends in\x1b", "ends in"),
        ("ends in\x1b[3", "ends in"),
        ("\x1b\x1b[0m[31mnested", "[31mnested"),
        ("bell\x07 back\x08space\x7f nul\x00", "bell backspace nul"),
        ("next\x85line \x84", "nextline "),
        ("10%\r20%\r\ndone", "10%\n20%\ndone"),
        ("safe\u202egnp.exe\u2066x\u2069", "safegnp.exex"),
        ("half \ud83d pair \udcff", "half \ufffd pair \ufffd"),
        ("grün 日本 😀", "grün 日本 😀"),
    ],
)
def test_clean(raw: str, cleaned: str) -> None:
    assert clean(raw) == cleaned


def test_every_control_character_but_newline_and_tab_goes() -> None:
    controls = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0)])).replace("\r", "")
    left = {char for control in controls for char in clean(f"a{control}b")} - {"a", "b"}
    assert left == {"\n", "\t"}


@pytest.mark.parametrize("piece", ["\x1b]", "\x1b[", "\x9d", "\x1bP;", "\x1b[0;", "\x1b(", "\x1b", "\r"])
def test_cleaning_is_linear_in_hostile_input(piece: str) -> None:
    started = time.process_time()
    clean(piece * 200_000)
    assert time.process_time() - started < 5


def test_cleaning_twice_changes_nothing() -> None:
    hostile = "\x1b\x1b]0;x\x1b[\x9b\x1b\x07]0;y\x07\x1b\x1b\\[31m\x9d\ud800"
    assert clean(clean(hostile)) == clean(hostile)
    assert "\x1b" not in clean(hostile)


def test_one_line_collapses() -> None:
    assert one_line("  fix\n\n the\t\x1b[1mbug\u2028now ") == "fix the bug now"


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdef", 5, "abcd…"),
        ("abc def", 5, "abc…"),
        ("abcdef", 1, "…"),
        ("abcdef", 0, ""),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"),
    ],
)
def test_truncates_by_display_width(text: str, width: int, shown: str) -> None:
    assert one_line(text, width) == shown


def test_never_wider_than_asked() -> None:
    for text in ("ab日本cd語ef", "😀😀😀", "e\u0301日e\u0301日", "❤\ufe0f❤\ufe0f❤\ufe0f"):
        for width in range(12):
            assert display_width(truncate(text, width)) <= width
