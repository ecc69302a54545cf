"""Ids: their form, and which session a text means."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from agentctl.core.ids import external_id, group_id, new_id, resolve, short
from agentctl.core.model import Session, Status
from agentctl.errors import Ambiguous, NotFound, UsageFault

THEN = datetime(2026, 3, 1, tzinfo=UTC)


def session(
    number: str, *, name: str | None = None, native: str | None = None, live: bool = True, age: int = 0
) -> Session:
    return Session(
        id=number + "00000000-0000-4000-8000-000000000000"[len(number) :],
        adapter="opencode",
        cwd="/repo",
        status=Status.RUNNING if live else Status.STOPPED,
        created_at=THEN - timedelta(hours=age),
        name=name,
        native_id=native,
        prompt="Fix the\nbug",
    )


def test_new_ids_are_uuid4() -> None:
    made = {new_id() for _ in range(200)}
    assert len(made) == 200
    assert all(UUID(text).version == 4 and UUID(text).variant == UUID(int=1 << 63).variant for text in made)
    assert all(str(UUID(text)) == text for text in made)


def test_new_id_from_given_bytes() -> None:
    assert new_id(b"\xff" * 16) == "ffffffff-ffff-4fff-bfff-ffffffffffff"
    assert new_id(bytes(16)) == "00000000-0000-4000-8000-000000000000"


def test_external_ids_never_change() -> None:
    made = external_id("opencode", "/home/u/.local/share/opencode", "ses_1")
    assert made == "070efc6e-4c19-5c7f-9447-ea1245e31bbc"
    assert UUID(made).version == 5


def test_external_ids_tell_every_part_apart() -> None:
    triples = [("a", "/s", "n"), ("b", "/s", "n"), ("a", "/t", "n"), ("a", "/s", "m"), ("a/", "s", "n")]
    triples += [("a", "/s", "\udcff"), ("a", "/s", "ÿ")]
    assert len({external_id(*triple) for triple in triples}) == len(triples)


def test_group_ids() -> None:
    made = {group_id() for _ in range(50)}
    assert len(made) > 40
    assert all(re.fullmatch(r"g-[0-9a-f]{6}", text) for text in made)


def test_short() -> None:
    assert short(session("abcd1234").id) == "abcd1234"


def test_an_exact_id_beats_a_name() -> None:
    by_id = session("aaaa", live=False)
    named = session("bbbb", name=by_id.id)
    assert resolve(by_id.id, [named, by_id]) is by_id
    assert resolve(by_id.id.upper(), [named, by_id]) is by_id


def test_an_exact_name_beats_a_prefix() -> None:
    named = session("bbbb", name="aa", live=False)
    assert resolve("aa", [session("aa01"), named]) is named


def test_a_name_means_its_live_row_first() -> None:
    live = session("aaaa", name="fix", age=5)
    assert resolve("fix", [session("bbbb", name="fix", live=False), live]) is live


def test_a_name_without_a_live_row_means_the_newest() -> None:
    old = session("aaaa", name="fix", live=False, age=5)
    new = session("bbbb", name="fix", live=False, age=1)
    assert resolve("fix", [old, new]) is new
    assert resolve("fix", [new, old]) is new


def test_a_native_id_means_its_live_row_first() -> None:
    live = session("aaaa", native="ses_1", age=5)
    assert resolve("ses_1", [session("bbbb", native="ses_1", live=False), live]) is live


def test_two_live_rows_of_one_name_are_not_guessed_between() -> None:
    with pytest.raises(Ambiguous):
        resolve("fix", [session("aaaa", name="fix"), session("bbbb", name="fix")])


@pytest.mark.parametrize("text", ["a", "ab", "abcd0000", "ses_1", "s"])
def test_a_unique_prefix_is_enough(text: str) -> None:
    wanted = session("abcd", native="ses_12345")
    assert resolve(text, [session("b"), wanted, session("c", native="thread")]) is wanted


def test_a_name_has_no_prefixes() -> None:
    with pytest.raises(NotFound):
        resolve("fi", [session("aaaa", name="fix")])


def test_a_prefix_of_several_ids_lists_them() -> None:
    first, second = session("ab01", age=1), session("ab02", live=False)
    with pytest.raises(Ambiguous) as caught:
        resolve("ab", [first, second, session("cc")])
    lines = caught.value.message.splitlines()
    assert lines == [
        "ab means 2 sessions:",
        f"  {second.id}  stopped  opencode  Fix the bug",
        f"  {first.id}  running  opencode  Fix the bug",
    ]
    assert caught.value.hint
    assert caught.value.exit_code == 10


def test_a_long_list_of_candidates_is_cut() -> None:
    with pytest.raises(Ambiguous) as caught:
        resolve("a", [session(f"a{number:02}") for number in range(13)])
    assert caught.value.message.endswith("\n  and 3 more")


def test_an_id_prefix_against_another_rows_native_prefix_is_ambiguous() -> None:
    with pytest.raises(Ambiguous):
        resolve("ab", [session("ab01"), session("cc", native="ab99")])


def test_a_native_prefix_of_one_conversation_means_its_live_run() -> None:
    runs = [session("aaaa", native="ses_1", live=False), session("bbbb", native="ses_1", age=3)]
    assert resolve("ses", runs) is runs[1]


def test_an_id_prefix_wins_within_one_conversation() -> None:
    first = session("ab01", live=False)
    runs = [first._replace(native_id=first.id), session("cccc", native=first.id)]
    assert resolve("ab01", runs) is runs[0]


def test_nothing_found_says_where_to_look() -> None:
    with pytest.raises(NotFound) as caught:
        resolve("zz\x1b[2J", [session("aaaa")])
    assert caught.value.message == "no session zz"
    assert caught.value.hint


def test_an_empty_id_is_a_usage_error() -> None:
    with pytest.raises(UsageFault):
        resolve("", [session("aaaa")])
