"""What claude reports of its runs: by its log, and by its transcript where the log was cut short."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agentctl.adapters import claude_code
from agentctl.adapters.base import Message
from agentctl.core.model import AgentVerdict, Listing, Result, Session, Status, Tokens

DATA = Path(__file__).parent.parent / "data" / "claude-code"
BEFORE = datetime(2026, 11, 22, 6, 56, tzinfo=UTC)
"""Before every one of the samples."""

ONE = Tokens(input=1234, output=17, cache_read=50, cache_write=100)
TWO = Tokens(*(2 * (count or 0) for count in ONE))
THREE = Tokens(*(3 * (count or 0) for count in ONE))
COST = 0.005786
"""Of one call in the samples."""


def native_of(name: str) -> str:
    """The conversation that a sample transcript is of."""
    first: str = json.loads((DATA / "transcripts" / name).read_text().partition("\n")[0])["sessionId"]
    return first


def store(tmp_path: Path, name: str) -> Session:
    """A session whose store has this sample, and nothing else."""
    native_id = native_of(name)
    project = tmp_path / "projects" / "-home-user-demo"
    project.mkdir(parents=True)
    shutil.copy(DATA / "transcripts" / name, project / f"{native_id}.jsonl")
    return session(native_id=native_id, store_path=str(tmp_path / "projects"))


def session(*, native_id: str | None = None, store_path: str | None = None) -> Session:
    return Session(
        id=native_id or "0f9a1b2c-0000-4000-8000-000000000000",
        adapter="claude-code",
        cwd="/home/user/demo",
        status=Status.RUNNING,
        created_at=BEFORE,
        native_id=native_id,
        store_path=store_path,
    )


def logged(name: str) -> Result:
    return claude_code.result(session(), str(DATA / "logs" / name))


def said(messages: list[Message]) -> list[tuple[str, str | None, str]]:
    return [(message.role, message.tool, message.text) for message in messages]


@pytest.mark.parametrize(
    ("name", "tokens", "calls", "turns", "model", "version"),
    [
        ("2.1.330-finished.jsonl", ONE, 1, 1, "claude-opus-5-5", "2.1.330"),
        ("2.1.330-tool.jsonl", TWO, 2, 2, "claude-opus-5-5", "2.1.330"),
        ("2.1.330-background-task.jsonl", THREE, 3, 3, "claude-opus-5-5", "2.1.330"),
        ("2.1.330-json-permission-denied.jsonl", TWO, 2, 2, None, None),
    ],
)
def test_a_success(
    name: str, tokens: Tokens, calls: int, turns: int, model: str | None, version: str | None
) -> None:
    """Also of a run with two `result` lines, whose totals are in the last."""
    found = logged(name)
    assert (found.verdict, found.text) == (AgentVerdict.OK, "Hello from mock.")
    assert (found.tokens, found.turns) == (tokens, turns)
    assert found.cost_usd == pytest.approx(calls * COST)
    assert (found.model, found.adapter_version) == (model, version)
    assert found.native_id is not None and found.native_id.endswith("000000021330")


def test_what_subagents_spent_is_in_the_sum() -> None:
    """The `usage` of the result line leaves it out: 20 and 6, of the two calls of the session itself."""
    found = logged("2.1.330-subagent.jsonl")
    assert found.tokens == Tokens(input=30, output=9, cache_read=3, cache_write=6)
    assert (found.turns, found.text) == (2, "done")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("2.1.330-json-failed-401.jsonl", "Failed to authenticate. API Error: 401 mock 401"),
        ("2.1.330-failed-500.jsonl", "API Error: 500 mock 500."),
        ("2.1.197-failed-500.jsonl", "API Error: 500 mock 500."),
        ("2.1.330-json-max-turns.jsonl", "Reached maximum number of turns (2)"),
        ("2.1.330-json-sigint.jsonl", "interrupted (aborted_streaming)"),
    ],
)
def test_a_failure_has_its_error_though_it_calls_itself_a_success(name: str, text: str) -> None:
    found = logged(name)
    assert found.verdict is AgentVerdict.ERROR
    assert found.text is not None and found.text.startswith(text)
    assert len(found.text.splitlines()) == 1


def test_denied_tools_and_retries_are_notes() -> None:
    assert logged("2.1.330-json-permission-denied.jsonl").notes == (
        "permission denied: Bash touch denied.txt",
    )
    expected = "the model's server failed once: 500 server_error"
    assert logged("2.1.330-failed-500.jsonl").notes == (expected,)
    assert logged("2.1.330-tool.jsonl").notes == ()


def test_many_denied_tools_are_a_few_notes(tmp_path: Path) -> None:
    calls = [{"tool_name": "Read", "tool_input": {"file_path": f"/{n}"}} for n in (*range(9), 0, 1)]
    log = tmp_path / "output.log"
    log.write_text(json.dumps({"type": "result", "is_error": False, "permission_denials": calls}))
    notes = claude_code.result(session(), str(log)).notes
    assert notes[0] == "permission denied: Read /0"
    assert (len(notes), notes[-1]) == (6, "permission denied: 4 more calls")


def test_turns_beyond_a_column_are_not_known(tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    line = json.dumps({"type": "result", "subtype": "success", "is_error": False, "num_turns": 2**63 - 1})
    log.write_text(f"{line}\n")
    assert claude_code.result(session(), str(log)).turns == 2**63 - 1
    log.write_text(f"{line}\n{line}\n")
    assert claude_code.result(session(), str(log)).turns is None


def test_an_answer_that_was_cut_off_is_a_note(tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    log.write_text(json.dumps({"type": "result", "is_error": False, "stop_reason": "max_tokens"}))
    assert claude_code.result(session(), str(log)).notes == (
        "the answer was cut off at the model's output limit",
    )


@pytest.mark.parametrize(
    ("printed", "error"),
    [
        ("Error: Session ID 0f9a is already in use.\n", "Session ID 0f9a is already in use."),
        ("error: unknown option '--frob'\n(Did you mean --from?)\n", "unknown option '--frob'"),
        (
            "The current directory no longer exists.\n[claude-code:x] {}\n",
            "The current directory no longer exists.",
        ),
    ],
)
def test_a_run_that_never_began_leaves_its_complaint(tmp_path: Path, printed: str, error: str) -> None:
    log = tmp_path / "output.log"
    log.write_text(printed)
    found = claude_code.result(session(), str(log))
    assert (found.verdict, found.text) == (AgentVerdict.ERROR, error)


def test_what_is_printed_beside_events_is_no_error(tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    log.write_text("error: of a hook\n" + (DATA / "logs" / "2.1.330-finished.jsonl").read_text())
    assert claude_code.result(session(), str(log)).verdict is AgentVerdict.OK


def test_a_run_that_is_at_work_has_said_nothing_yet() -> None:
    found = logged("2.1.330-sigterm.jsonl")
    assert (found.verdict, found.text, found.tokens, found.turns) == (
        AgentVerdict.SILENT,
        None,
        Tokens(),
        None,
    )
    assert found.model == "claude-opus-5-5"


def test_a_long_log_is_read_at_both_ends(tmp_path: Path) -> None:
    first, *rest = (DATA / "logs" / "2.1.330-finished.jsonl").read_text().splitlines()
    filler = json.dumps({"type": "stream_event", "text": "x" * 1_000_000})
    log = tmp_path / "output.log"
    log.write_text("\n".join([first, *[filler] * 6, *rest]))
    found = claude_code.result(session(), str(log))
    assert (found.verdict, found.tokens) == (AgentVerdict.OK, ONE)
    assert (found.model, found.adapter_version) == ("claude-opus-5-5", "2.1.330")


@pytest.mark.parametrize(
    ("name", "verdict", "text", "tokens", "cost"),
    [
        ("2.1.330-finished.jsonl", AgentVerdict.OK, "Hello from mock.", ONE, COST),
        ("2.1.197-finished.jsonl", AgentVerdict.OK, "Hello from mock.", ONE, None),
        ("2.1.330-failed-500.jsonl", AgentVerdict.ERROR, "API Error: 500 mock 500.", Tokens(0, 0, 0, 0), 0),
        ("2.1.330-sigint-waiting-api.jsonl", AgentVerdict.ERROR, "interrupted by the user", None, 0.005466),
        ("2.1.330-midrun-waiting-api.jsonl", AgentVerdict.SILENT, None, Tokens(), None),
        ("2.1.330-sigterm-in-tool.jsonl", AgentVerdict.SILENT, None, ONE, COST),
        ("2.1.330-sigkill-in-tool.jsonl", AgentVerdict.SILENT, None, ONE, None),
        ("2.1.197-tool-call.jsonl", AgentVerdict.OK, "Hello from mock.", TWO, None),
    ],
)
def test_without_a_result_line_the_transcript_tells(
    tmp_path: Path,
    name: str,
    verdict: AgentVerdict,
    text: str | None,
    tokens: Tokens | None,
    cost: float | None,
) -> None:
    """The two blocks of a message are two lines that repeat its counts: they count once."""
    found = claude_code.result(store(tmp_path, name), str(tmp_path / "none.log"))
    assert found.verdict is verdict
    assert (found.text or "").startswith(text or "") and (found.text is None) == (text is None)
    assert tokens is None or found.tokens == tokens
    assert found.cost_usd == (None if cost is None else pytest.approx(cost))
    assert (found.native_id, found.turns) == (None, None), "nothing was reported by this run itself"
    assert found.transcript_path is not None and found.transcript_path.endswith(".jsonl")


def resumed(tmp_path: Path) -> Session:
    """The second run of the sample, as a session of its own."""
    first = store(tmp_path, "2.1.330-resumed.jsonl")
    later = datetime(2026, 11, 22, 6, 56, 50, tzinfo=UTC)
    return first._replace(id="0f9a1b2c-0000-4000-8000-000000000000", created_at=later)


def test_a_resumed_run_counts_for_itself(tmp_path: Path) -> None:
    """claude reports 2468 tokens and twice the cost: the whole conversation's."""
    log = DATA / "logs" / "2.1.330-json-resumed.jsonl"
    found = claude_code.result(resumed(tmp_path), str(log))
    assert found.tokens == ONE
    assert found.cost_usd == pytest.approx(COST)
    cut_short = claude_code.result(resumed(tmp_path / "again"), str(tmp_path / "none.log"))
    assert cut_short.tokens == ONE
    assert cut_short.cost_usd == pytest.approx(COST)


def test_a_resumed_run_whose_transcript_is_gone_has_no_cost(tmp_path: Path) -> None:
    gone = resumed(tmp_path)._replace(store_path=str(tmp_path / "nowhere"))
    found = claude_code.result(gone, str(DATA / "logs" / "2.1.330-json-resumed.jsonl"))
    assert (found.tokens, found.cost_usd, found.transcript_path) == (ONE, None, None)


def test_a_resumed_run_after_a_killed_one_counts_from_the_last_known_total(tmp_path: Path) -> None:
    """As claude does: the killed run left no totals, so the next one's begin where the one before ended."""
    row = resumed(tmp_path)
    (path,) = (tmp_path / "projects").glob("*/*.jsonl")
    lines = [line for line in path.read_text().splitlines() if '"cost-state"' not in line]
    path.write_text("\n".join(lines) + "\n")
    found = claude_code.result(row, str(DATA / "logs" / "2.1.330-json-resumed.jsonl"))
    assert found.tokens == TWO
    assert found.cost_usd == pytest.approx(2 * COST)


def test_the_log_tells_its_own_id_though_the_row_has_another(tmp_path: Path) -> None:
    row = session(native_id="0f9a1b2c-0000-4000-8000-000000000009")
    path = str(DATA / "logs" / "2.1.330-finished.jsonl")
    assert claude_code.result(row, path).native_id == "00000003-0000-4000-8000-000000021330"
    assert claude_code.native_id(row, path) == "00000003-0000-4000-8000-000000021330"


def test_listing_never_takes_an_absent_transcript_for_a_dead_session(tmp_path: Path) -> None:
    """claude runs without one where its home cannot be written."""
    row = store(tmp_path, "2.1.330-finished.jsonl")
    assert claude_code.listing(row) is Listing.RUNNING
    other = "0f9a1b2c-0000-4000-8000-000000000009"
    for native_id in (other, "../x", "*", "ses_1"):
        assert claude_code.listing(row._replace(native_id=native_id)) is Listing.UNAVAILABLE


def test_the_conversation_has_prompts_answers_and_tools(tmp_path: Path) -> None:
    denied = store(tmp_path, "2.1.330-tool-denied.jsonl")
    found = said(list(claude_code.messages(denied, "")))
    assert found[:3] == [
        ("user", None, "use a tool without permission"),
        ("assistant", None, "Running a tool."),
        ("tool", "Bash", "touch denied.txt"),
    ]
    assert found[3][2].startswith("failed: touch in")
    assert found[4:] == [("assistant", None, "Hello from mock.")]
    times = [message.at for message in claude_code.messages(denied, "") if message.at]
    assert len(times) == 5 and times == sorted(times)
    assert BEFORE < times[0] < BEFORE + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("2.1.330-failed-500.jsonl", "API Error: 500 mock 500."),
        ("2.1.330-sigint-waiting-api.jsonl", "interrupted by the user"),
    ],
)
def test_the_conversation_ends_with_the_error_that_ended_it(tmp_path: Path, name: str, last: str) -> None:
    newest = list(claude_code.messages(store(tmp_path, name), ""))[-1]
    assert newest.role == "error" and newest.text.startswith(last)


def test_without_a_transcript_the_log_is_the_conversation() -> None:
    found = said(list(claude_code.messages(session(), str(DATA / "logs" / "2.1.330-tool.jsonl"))))
    assert found == [
        ("assistant", None, "Running a tool."),
        ("tool", "Bash", "echo hi from tool"),
        ("assistant", None, "Hello from mock."),
    ]


def shown(*lines: object) -> list[tuple[str, str | None, str]]:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    return said(list(claude_code.log_messages(texts)))


def test_the_log_shows_retries_and_an_error_once() -> None:
    lines = (DATA / "logs" / "2.1.330-failed-500.jsonl").read_text().splitlines()
    retry, error = shown(*lines)
    assert retry == ("log", None, "the model's server failed: 500 server_error, retry 1 of 1 in 0.5 s")
    assert error[0] == "error" and error[2].startswith("API Error: 500 mock 500.")


def test_the_log_shows_failed_tools_by_name() -> None:
    lines = (DATA / "logs" / "2.1.330-sigterm.jsonl").read_text().splitlines()
    assert shown(*lines)[-1] == ("tool", "Bash", "failed: Exit code 137")


def test_unknown_lines_are_silent_and_plain_text_is_shown() -> None:
    assert shown({"type": "of a later version"}, "plain text", '{"no": "type"}', "") == [
        ("log", None, "plain text"),
        ("log", None, '{"no": "type"}'),
    ]


def test_a_subagent_shows_its_tools_and_not_its_words() -> None:
    content = [
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "toolu_1", "name": "Grep", "input": {"pattern": "main"}},
    ]
    line = {"type": "assistant", "message": {"model": "m", "content": content}}
    assert shown({**line, "parent_tool_use_id": "toolu_0"}) == [("tool", "Grep", "main")]
    assert shown(line)[0] == ("assistant", None, "I look.")
