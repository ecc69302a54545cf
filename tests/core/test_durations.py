"""Durations and ages: every accepted form, every refused one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agentctl.core.durations import LIMIT, format_age, format_duration, parse_duration

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("2h", 7200),
        ("1d", 86400),
        ("1w", 604800),
        ("1h30m", 5400),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("500ms", 0.5),
        ("1s500ms", 1.5),
        ("1w2d3h4m5s6ms", 788645.006),
        (" 10m ", 600),
        ("3650d", LIMIT.total_seconds()),
    ],
)
def test_parses(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("10", "needs a unit"),
        ("1.5", "needs a unit"),
        ("-5m", "is negative"),
        ("0s", "longer than zero"),
        ("0", "longer than zero"),
        ("0.0000001s", "longer than zero"),
        ("", "not of the form"),
        ("m", "not of the form"),
        ("10x", "not of the form"),
        ("30m1h", "not of the form"),
        ("1m1m", "not of the form"),
        ("1e3s", "not of the form"),
        ("nan", "not of the form"),
        ("infs", "not of the form"),
        ("10 m", "not of the form"),
        ("10M", "not of the form"),
        ("١٠m", "not of the form"),
        ("3651d", "longer than ten years"),
        ("9" * 5000 + "w", "longer than ten years"),
    ],
)
def test_refuses_with_one_clause_that_names_the_text(text: str, clause: str) -> None:
    with pytest.raises(ValueError, match=clause) as caught:
        parse_duration(text)
    message = str(caught.value)
    assert text.strip()[:30] in message
    assert "\n" not in message
    assert len(message) < 120


def test_a_control_character_does_not_reach_the_message() -> None:
    with pytest.raises(ValueError, match="not of the form") as caught:
        parse_duration("\x1b[2J10m")
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("text", ["0", "0s", "0h0m", "0ms"])
def test_zero_is_accepted_where_it_is_allowed(text: str) -> None:
    assert parse_duration(text, allow_zero=True) == timedelta(0)


def test_allowing_zero_allows_nothing_else() -> None:
    for text in ("-1s", "5", ""):
        with pytest.raises(ValueError, match="duration"):
            parse_duration(text, allow_zero=True)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0002, "0s"),
        (0.25, "250ms"),
        (0.9999, "1s"),
        (1, "1s"),
        (3.24, "3.2s"),
        (9.97, "10s"),
        (45, "45s"),
        (59.7, "1m"),
        (90, "1m30s"),
        (600, "10m"),
        (5400, "1h30m"),
        (7199.9, "2h"),
        (7200, "2h"),
        (7230, "2h"),
        (93600, "1d2h"),
        (86400 * 9 + 60, "9d"),
        (-90, "-1m30s"),
    ],
)
def test_formats(seconds: float, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize("text", ["250ms", "3.2s", "45s", "1m30s", "10m", "1h30m", "1d2h", "9d"])
def test_what_it_prints_it_reads(text: str) -> None:
    assert format_duration(parse_duration(text)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "now"),
        (0.3, "now"),
        (-0.3, "now"),
        (-3.2, "3s ago"),
        (-180, "3m ago"),
        (7200, "in 2h"),
        (-93600, "1d2h ago"),
    ],
)
def test_ages(seconds: float, text: str) -> None:
    assert format_age(NOW + timedelta(seconds=seconds), NOW) == text
