"""What people and programs read: exact documents, tables that fit, no hostile text."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agentctl import render
from agentctl.core.ledger import Delivery, DeliveryKind, Event
from agentctl.core.model import FuseAction, FuseState, Lock, Outcome, Status, Tokens, as_stored
from agentctl.core.text import display_width
from agentctl.ops.found import Found
from agentctl.ops.state.doctor_agents import Finding, Level
from tests.rendering import HOSTILE, NOW, fuse, session, view


def listed(views: list[Found], *, width: int = 200, color: bool = False) -> list[str]:
    return render.session_table(views, now=NOW, home="/home/u", width=width, color=color).splitlines()


def test_the_session_table() -> None:
    rows = [
        Found(as_stored(session(1), fuse())),
        view(0xABCDEF12, status=Status.STOPPED, lingering=True, model=None, pid=None, cwd="/srv"),
    ]
    assert listed(rows) == [
        "ID        STATUS    ADAPTER   MODEL                        CWD            PID   STARTED  FUSE   "
        "PROMPT",
        "00000001  running   opencode  anthropic/claude-sonnet-4-5  ~/src/project  4321  3m ago   in 2h  "
        "Fix the login bug",
        "abcdef12  stopped*  opencode  –                            /srv           –     3m ago   –      "
        "Fix the login bug",
    ]


def test_no_sessions_no_header() -> None:
    assert listed([]) == []


def test_the_group_column_is_there_only_when_one_has_a_group() -> None:
    assert "GROUP" not in listed([view(1)])[0]
    assert listed([view(1), view(2, group="g-0a1b2c")])[2].count("g-0a1b2c") == 1


def test_a_fuse_that_no_longer_burns_is_not_shown() -> None:
    for state in (FuseState.FIRED, FuseState.CANCELLED):
        row = listed([Found(as_stored(session(), fuse(state=state)))])[1]
        assert "in 2h" not in row


def test_ids_are_as_long_as_it_takes_to_tell_them_apart() -> None:
    first = session(1)
    second = first._replace(id=first.id[:10] + "9" + first.id[11:])
    lines = listed([Found(as_stored(first)), Found(as_stored(second))])
    assert lines[1].startswith(first.id[:11] + " ")
    assert lines[2].startswith(second.id[:11] + " ")


LONG = {
    "prompt": "日本語のプロンプト and a rather long text that goes on " * 4,
    "cwd": "/home/u/" + "a-deep/directory/" * 6 + "leaf",
    "model": "openrouter/some-vendor/a-model-with-a-long-name-2026-03-01",
    "group": "g-0a1b2c",
    "adapter": "claude-code",
}


@pytest.mark.parametrize("width", [*range(60, 240, 7), 80, 100, 120])
@pytest.mark.parametrize("color", [False, True])
def test_never_wider_than_the_terminal(width: int, color: bool) -> None:
    rows = [view(1), view(2, **LONG), Found(as_stored(session(3, **LONG), fuse()), depth=2)]
    for line in listed(rows, width=width, color=color):
        assert display_width(_without_color(line)) <= width


def test_a_narrow_terminal_is_taken_as_sixty_columns() -> None:
    rows = [view(2, **LONG)]
    assert listed(rows, width=10) == listed(rows, width=60)


def test_the_prompt_shrinks_first_then_the_directory_then_the_model() -> None:
    whole = listed([view(2, **LONG)], width=1000)[1]
    assert all(str(text) in whole for text in (LONG["model"], "leaf", LONG["group"]))
    wide, middle = (listed([view(2, **LONG)], width=width)[1] for width in (270, 180))
    assert "~/a-deep" in wide
    assert str(LONG["model"]) in wide
    assert str(LONG["model"]) in middle
    assert "~/a-deep" not in middle
    assert "…" in middle
    assert "leaf" in middle, "the end of a path says more than its beginning"
    assert str(LONG["model"]) not in listed([view(2, **LONG)], width=120)[1]


def test_columns_stay_aligned_under_wide_characters() -> None:
    rows = [view(1, cwd="/日本語/e\u0301"), view(2, cwd="/plain")]
    header, first, second = listed(rows)
    column = header.index("PID")
    assert display_width(first[: first.index("4321")]) == column
    assert display_width(second[: second.index("4321")]) == column


def test_hostile_text_never_reaches_the_terminal() -> None:
    bad = session(
        1, prompt=HOSTILE, model=HOSTILE, cwd="/" + HOSTILE, name=HOSTILE, result=HOSTILE, notes=(HOSTILE,)
    )
    shown = listed([Found(as_stored(bad))])
    assert len(shown) == 2
    assert "evil txt.exe" in shown[1]
    found = Found(as_stored(bad)._replace(reason=HOSTILE))
    record = render.session_record(found, now=NOW, home=None, color=False)
    event = Event(cursor=1, type=HOSTILE, session_id=None, at=NOW, actor="a", reason=HOSTILE, data={})
    texts = [
        *shown,
        *record.splitlines(),
        render.event_text(event, now=NOW, color=False),
        render.table(["A"], [[HOSTILE]]).splitlines()[1],
        *render.doctor_report([Finding(Level.OK, HOSTILE, HOSTILE, HOSTILE)], color=False).splitlines(),
        *render.record([("a", HOSTILE)]).splitlines(),
    ]
    assert [text for text in texts if not text.isprintable()] == []


def test_colour_only_when_told() -> None:
    assert "\x1b" not in "".join(listed([view(1)]))
    painted = listed([view(1), view(2, status=Status.ERROR)], color=True)
    assert "\x1b[32mrunning\x1b[0m" in painted[1]
    assert "\x1b[31merror" in painted[2]
    assert [_without_color(line) for line in painted] == listed([view(1), view(2, status=Status.ERROR)])


def test_a_tree_puts_children_below_their_parents() -> None:
    parent, child, grandchild, other = session(1), session(2), session(3), session(4, parent_id="gone")
    child, grandchild = child._replace(parent_id=parent.id), grandchild._replace(parent_id=child.id)
    ordered = render.as_tree([Found(as_stored(s)) for s in (grandchild, other, child, parent)])
    assert [(v.session.id[7], v.depth) for v in ordered] == [("4", 0), ("1", 0), ("2", 1), ("3", 2)]
    assert [line.split("  running")[0].rstrip() for line in listed(ordered)[1:]] == [
        "00000004",
        "00000001",
        "└ 00000002",
        "  └ 00000003",
    ]


def test_a_table_of_anything() -> None:
    assert render.table(["A", "LONG"], [[1, None], ["1e5", True]]).splitlines() == [
        "A    LONG",
        "1    –",
        "1e5  True",
    ]
    assert render.table(["A"], []) == ""


def test_a_record_is_aligned_and_leaves_out_what_is_unknown() -> None:
    assert render.record([("id", "1"), ("native id", "ses"), ("model", None), ("turns", 0)]) == (
        "id:        1\nnative id: ses\nturns:     0"
    )


def test_a_value_cannot_pass_for_another_line_of_the_record() -> None:
    text = render.record([("result", "fine\nstatus: succeeded")])
    assert text.splitlines() == ["result: fine", "        status: succeeded"]


def test_the_record_of_a_session() -> None:
    ended = session(
        status=Status.ERROR,
        outcome=Outcome.FAILED,
        reason="exit 1 after 3s",
        exit_code=137,
        signal=9,
        ended_at=NOW - timedelta(minutes=1),
        tokens=Tokens(input=12345, output=6),
        cost_usd=0.0123,
        native_id="ses_1",
        notes=("denied: Bash", "retried twice"),
        result="first\nsecond",
    )
    shown = Found(as_stored(ended, fuse(state=FuseState.CANCELLED)), log_path="/home/u/state/output.log")
    text = render.session_record(shown, now=NOW, home="/home/u", color=False)
    assert text.splitlines() == [
        "id:        00000001-0000-4000-8000-000000000000",
        "status:    error",
        "outcome:   failed",
        "reason:    exit 1 after 3s",
        "exit code: 137 (SIGKILL)",
        "adapter:   opencode",
        "source:    tracked",
        "model:     anthropic/claude-sonnet-4-5",
        "directory: ~/src/project",
        "pid:       4321",
        "native id: ses_1",
        "started:   3m ago",
        "ended:     1m ago",
        "duration:  2m",
        "fuse:      cancelled",
        "tokens:    12,345 in, 6 out",
        "cost:      $0.0123",
        "prompt:    Fix the login bug",
        "result:    first",
        "           second",
        "notes:     denied: Bash",
        "           retried twice",
        "log:       ~/state/output.log",
    ]


def test_the_record_of_a_session_that_nobody_saw_end_or_that_lingers() -> None:
    def told(shown: Found) -> str:
        return render.session_record(shown, now=NOW, home=None, color=False)

    assert "exit code: unknown" in told(view(status=Status.ERROR, outcome=Outcome.LOST))
    lingering = told(view(status=Status.STOPPED, outcome=Outcome.UNLISTED, lingering=True))
    assert "stopped* (lingering" in lingering
    assert "exit code" not in lingering
    assert "fuse:      in 2h, then stop" in told(Found(as_stored(session(), fuse())))
    vouching = fuse(action=FuseAction.NONE)
    assert "in 2h, ends nothing" in told(Found(as_stored(session(), vouching)))


def test_fuses_locks_and_deliveries() -> None:
    fuses = [
        fuse(),
        fuse(session_id=None, directory="/home/u/x", action=FuseAction.SCRIPT, command="make clean"),
    ]
    text = render.fuse_table(fuses, now=NOW, home="/home/u", color=False)
    assert text.splitlines()[1].split() == ["ffffffff", "00000001", "in", "2h", "stop", "armed", "–"]
    assert "~/x" in text
    assert "make clean" in text
    locks = [
        Lock(id=1, directory="/home/u/x", holder=session().id, created_at=NOW, session_id=session().id),
        Lock(
            id=2,
            directory="/y",
            holder="ann",
            created_at=NOW,
            reason="release",
            expires_at=NOW + timedelta(days=1),
        ),
    ]
    text = render.lock_table(locks, now=NOW, home="/home/u", color=False)
    assert text.splitlines()[1].split() == ["~/x", "00000001", "session", "–", "now", "–"]
    assert text.splitlines()[2].split() == ["/y", "ann", "person", "release", "now", "in", "1d"]
    delivery = Delivery(
        id=3,
        kind=DeliveryKind.HOOK,
        name="on_complete",
        target="notify",
        event_id="e",
        payload={},
        created_at=NOW,
        attempts=2,
    )
    text = render.delivery_table([delivery], now=NOW, color=False)
    assert text.splitlines()[1].split() == [
        "3",
        "hook",
        "on_complete",
        "–",
        "pending",
        "2",
        "–",
        "notify",
        "–",
    ]


def test_event_and_doctor_lines() -> None:
    event = Event(
        cursor=12,
        type="session.stopped",
        session_id=session().id,
        at=NOW - timedelta(seconds=3),
        actor="wait",
        reason="exit 0 after 3s",
        data={},
    )
    assert render.event_text(event, now=NOW, color=False).split() == (
        ["12", "3s", "ago", "session.stopped", "00000001", "exit", "0", "after", "3s"]
    )
    checks = [
        Finding(Level.OK, "database", "WAL"),
        Finding(Level.WARN, "fs", "network file system", "move it"),
        Finding(Level.ABSENT, "adapter x", "x is not installed"),
    ]
    assert render.doctor_report(checks, color=False).splitlines() == [
        "ok      database   WAL",
        "warn    fs         network file system",
        "        → move it",
        "absent  adapter x  x is not installed",
    ]
    painted = render.doctor_report(checks, color=True)
    assert "\x1b[33mwarn  \x1b[0m" in painted and "\x1b[2mabsent\x1b[0m" in painted


def test_the_home_directory_is_a_tilde() -> None:
    assert render.tilde("/home/u", "/home/u") == "~"
    assert render.tilde("/home/u/x", "/home/u") == "~/x"
    assert render.tilde("/home/user2", "/home/u") == "/home/user2"
    assert render.tilde("/x", "/") == "/x"
    assert render.tilde("/x", None) == "/x"


def _without_color(line: str) -> str:
    for code in ("0", "1", "2", "31", "32", "33", "36"):
        line = line.replace(f"\x1b[{code}m", "")
    return line
