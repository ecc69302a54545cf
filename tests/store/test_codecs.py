"""Values that become columns and come back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from agentctl.core.model import TERM_THEN_KILL, Rung, Session
from agentctl.store import codecs


def test_an_instant_is_fixed_width_utc_text() -> None:
    at = datetime(2026, 11, 22, 12, 0, tzinfo=timezone(timedelta(hours=2)))
    assert codecs.instant(at) == "2026-11-22T10:00:00.000000Z"
    assert codecs.read_instant("2026-11-22T10:00:00.000000Z") == at
    assert codecs.read_instant("2026-11-22T10:00:00.000000Z").utcoffset() == timedelta(0)


def test_text_order_is_time_order() -> None:
    base = datetime(2026, 1, 1, tzinfo=UTC)
    steps = [base + timedelta(microseconds=n) for n in (0, 1, 10, 999_999, 1_000_000, 86_400_000_000)]
    texts = [codecs.instant(at) for at in steps]
    assert texts == sorted(texts)
    assert [codecs.read_instant(text) for text in texts] == steps
    assert {len(text) for text in texts} == {27}


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(ValueError, match="without a time zone"):
        codecs.instant(datetime(2026, 1, 1))


@pytest.mark.parametrize(
    "text", ["", "2026-11-22", "2026-11-22T10:00:00Z", "2026-11-22T10:00:00.000000+", "x" * 26 + "Z"]
)
def test_another_form_of_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"instant|isoformat"):
        codecs.read_instant(text)


def test_no_instant_stays_none() -> None:
    assert codecs.optional_instant(None) is None
    assert codecs.read_optional_instant(None) is None


def test_json_is_compact_and_sorted() -> None:
    assert codecs.to_json({"b": [1, 2], "a": None}) == '{"a":null,"b":[1,2]}'
    with pytest.raises(ValueError, match="Out of range float"):
        codecs.to_json(float("nan"))


def test_a_ladder_round_trips_with_fractions() -> None:
    rungs = (Rung(2, timedelta(milliseconds=250)), Rung(9, timedelta(0)))
    assert codecs.read_ladder(codecs.ladder(rungs)) == rungs
    assert codecs.read_ladder(codecs.ladder(TERM_THEN_KILL)) == TERM_THEN_KILL
    assert codecs.ladder(TERM_THEN_KILL) == "15:10.0 9:5.0"
    assert codecs.read_ladder(codecs.ladder(())) == ()
    with pytest.raises(ValueError, match="not enough values"):
        codecs.read_ladder("15")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("",),
        ("", ""),
        ("make", "check"),
        ('","', '"', "'"),
        ("back\\slash", "\n", "schön", "\udcff", ", "),
        ("[", "]", '["a","b"]'),
    ],
)
def test_words_come_back_as_they_were(words: tuple[str, ...]) -> None:
    assert codecs.read_words(codecs.words(words)) == words


def test_words_that_somebody_else_wrote_are_read() -> None:
    assert codecs.read_words('["a", "b"]') == ("a", "b")
    assert codecs.read_words(' [ "a" , 1 ] ') == ("a", "1")


@pytest.mark.parametrize(("read", "text"), [(codecs.read_words, "{}"), (codecs.read_mapping, "[]")])
def test_json_of_another_shape_is_refused(read: type, text: str) -> None:
    assert read('["x"]' if text == "{}" else '{"x":"y"}')
    with pytest.raises(ValueError, match="not a"):
        read(text if text == "[]" else '{"x":1}')


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("plain", "plain"),
        ("schön ✓", "schön ✓"),
        ("/dir/\udcff\udcfe", b"/dir/\xff\xfe"),
        ("cut \ud83d emoji", "cut \ufffd emoji".encode()),
        ("both \ud83d \udcff", b"both \xef\xbf\xbd \xff"),
        (None, None),
    ],
)
def test_text_is_bound_as_bytes_only_where_it_must(value: str | None, stored: object) -> None:
    assert codecs.text(value) == stored
    if isinstance(stored, bytes):
        assert codecs.text(codecs.read_text(stored)) in (stored, codecs.read_text(stored))


def test_a_row_round_trips_through_plain_values(full_session: Session) -> None:
    row = codecs.session_to_row(full_session)
    assert set(row) == set(codecs.SESSION_COLUMNS)
    assert all(value is None or isinstance(value, (str, int, float)) for value in row.values())
    assert codecs.session_from_row(row) == full_session


def test_a_row_of_another_version_is_read(full_session: Session) -> None:
    row = codecs.session_to_row(full_session)
    del row["notes"], row["tokens_input"]
    session = codecs.session_from_row({**row, "invented_later": 1})
    assert session.notes == ()
    assert session.tokens.input is None
    assert session.tokens.output == full_session.tokens.output


def test_a_row_with_an_unknown_word_is_refused(full_session: Session) -> None:
    with pytest.raises(ValueError, match="asleep"):
        codecs.session_from_row({**codecs.session_to_row(full_session), "status": "asleep"})
