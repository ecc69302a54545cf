"""What pi's log and files say of a run: recorded samples of both lines of releases."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentctl.adapters import pi
from agentctl.adapters.pi import files, runs
from agentctl.core.model import AgentVerdict, Listing, Result, Status, Tokens
from tests.adapters.pi_samples import (
    LONG_AGO,
    SESSIONS,
    VERSIONS,
    answer,
    header,
    keep,
    log,
    session,
    write,
)

OVER = session(status=Status.STOPPED, exit_code=0)


def result(version: str, name: str, *, code: int | None = 0) -> Result:
    return pi.result(session(exit_code=code), log(version, name))


def plain(tmp_path: Path, text: str) -> str:
    path = tmp_path / "output.log"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("version", VERSIONS)
class TestResult:
    def test_success(self, version: str) -> None:
        told = result(version, "ok")
        assert told == Result(
            verdict=AgentVerdict.OK,
            text="Hello from mock; prompt chars=9",
            native_id=header(version, "ok")["id"],
            model="mock/ok",
            tokens=Tokens(input=80, output=7, cache_read=20, cache_write=0),
            cost_usd=told.cost_usd,
            turns=1,
        )
        assert told.cost_usd == pytest.approx(0.000104)

    def test_a_resumed_run_counts_its_own_answers_alone(self, version: str) -> None:
        """Under the first run's id, which is what pi reports."""
        told = result(version, "resume")
        assert told.native_id == header(version, "ok")["id"]
        assert (told.tokens.input, told.turns) == (80, 1)
        assert told.cost_usd == pytest.approx(0.000104)
        assert told.text == "Hello from mock; prompt chars=11"

    def test_a_tool_makes_two_turns(self, version: str) -> None:
        told = result(version, "tool")
        assert (told.verdict, told.turns) == (AgentVerdict.OK, 2)
        assert told.tokens == Tokens(input=160, output=14, cache_read=40, cache_write=0)

    def test_a_failed_call_is_an_error_although_pi_exits_0(self, version: str) -> None:
        told = result(version, "err401")
        assert told.verdict is AgentVerdict.ERROR
        assert told.text is not None and told.text.startswith("401") and "\n" not in told.text
        assert (told.model, told.turns, told.tokens, told.cost_usd) == ("mock/err401", None, Tokens(), None)
        assert told.notes == ()

    def test_retries_are_noted(self, version: str) -> None:
        told = result(version, "err500")
        assert told.verdict is AgentVerdict.ERROR
        (note,) = told.notes
        assert note.startswith("the model's server failed 4 times, most recently: 500")

    @pytest.mark.parametrize("name", ["sigterm_in_tool", "sigkill_in_tool", "sigterm_waiting"])
    def test_a_run_that_was_cut_short_has_no_success(self, version: str, name: str) -> None:
        assert result(version, name, code=None).verdict is AgentVerdict.SILENT, "while it may be alive"
        told = result(version, name, code=0)
        assert (told.missing or told.text) in (
            "there is no result record",
            "stopped early: the last answer ended with 'toolUse' and none followed",
        )

    def test_while_a_retry_is_waited_for_nothing_is_decided(self, version: str, tmp_path: Path) -> None:
        lines = Path(log(version, "err500")).read_text().splitlines(keepends=True)
        first_retry = next(index for index, line in enumerate(lines) if "auto_retry_start" in line)
        told = pi.result(session(), plain(tmp_path, "".join(lines[: first_retry + 1])))
        assert (told.verdict, told.text) == (AgentVerdict.SILENT, None)

    def test_native_id_is_the_first_line_of_any_run(self, version: str) -> None:
        for name in ("ok", "err401", "sigterm_waiting"):
            assert pi.native_id(session(), log(version, name)) == header(version, name)["id"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_key", "No API key found for anthropic."),
        ("unknown_option", "Unknown option: --bogus"),
        ("unknown_provider", 'Model "nope/x" not found. Use --list-models to see available models.'),
        ("other_directory", "Session found in different project: /home/dev/project"),
    ],
)
@pytest.mark.parametrize("code", [None, 0, 1])
def test_a_run_that_did_not_begin_tells_why(name: str, words: str, code: int | None) -> None:
    told = result("0.73.1", name, code=code)
    assert (told.verdict, told.text) == (AgentVerdict.ERROR, words)


def test_a_warning_is_a_note_and_no_error() -> None:
    told = result("0.73.1", "unknown_model")
    assert told.verdict is AgentVerdict.OK
    assert told.notes == ('Model "nosuch" not found for provider "mock". Using custom model id.',)


def test_a_crash_tells_its_error_and_not_its_code(tmp_path: Path) -> None:
    text = "file:///cli.js:1\nimport { x } from 'y';\n   ^\nSyntaxError: no export named 'x'\n    at z\n"
    told = pi.result(session(exit_code=1), plain(tmp_path, text))
    assert (told.verdict, told.text) == (AgentVerdict.ERROR, "no export named 'x'")


def test_nothing_printed_and_over_is_no_success(tmp_path: Path) -> None:
    told = pi.result(OVER, plain(tmp_path, ""))
    assert told.verdict is AgentVerdict.SILENT
    assert told.missing == "there is no result record: nothing was written to its log"


@pytest.mark.parametrize(
    ("stop", "verdict", "text"),
    [
        ("length", AgentVerdict.OK, "Hi"),
        ("aborted", AgentVerdict.ERROR, "the turn was aborted"),
        (
            "somewhat",
            AgentVerdict.ERROR,
            "stopped early: the last answer ended with 'somewhat' and none followed",
        ),
    ],
)
def test_the_reason_of_the_last_answer_decides(
    tmp_path: Path, stop: str, verdict: AgentVerdict, text: str
) -> None:
    path = write(
        tmp_path / "log", {"type": "message_end", "message": answer(stopReason=stop)}, {"type": "agent_end"}
    )
    told = pi.result(session(), str(path))
    assert (told.verdict, told.text) == (verdict, text)
    cut = ("the answer was cut off at the model's output limit",)
    assert told.notes == (cut if stop == "length" else ())


def test_a_retry_that_helped_is_noted(tmp_path: Path) -> None:
    bad = answer(
        stopReason="error", errorMessage="503\n busy", content=[], usage={"input": 0, "cost": {"total": 0}}
    )
    events = [{"type": "message_end", "message": message} for message in (bad, answer())]
    told = pi.result(OVER, str(write(tmp_path / "log", *events, {"type": "agent_end"})))
    assert (told.verdict, told.turns, told.tokens.input) == (AgentVerdict.OK, 1, 10)
    assert told.notes == ("the model's server failed once: 503 busy",)


class TestLongLog:
    """Releases before 0.84 write some hundred bytes for each of an answer's characters, squared."""

    @pytest.fixture
    def long_log(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        """Longer than is read: of its two answers the last is seen, and the last line is cut."""
        monkeypatch.setattr(runs, "LOG_BYTES", 4096)
        told = header("0.73.1", "ok")
        path = write(
            tmp_path / "log",
            told,
            {"type": "agent_start"},
            {"type": "message_end", "message": answer(stopReason="toolUse")},
            {"type": "message_update", "message": "x" * 5000},
            {"type": "message_end", "message": answer()},
            {"type": "agent_end", "messages": ["x" * 5000]},
        )
        return str(path)

    def test_the_file_gives_what_the_log_no_longer_holds(self, long_log: str, tmp_path: Path) -> None:
        file = keep(tmp_path / "store", "0.73.1", "tool")
        native_id = header("0.73.1", "ok")["id"]
        file = file.rename(file.with_name(f"2026-11-22T06-41-49-085Z_{native_id}.jsonl"))
        told = pi.result(session(exit_code=0, store_path=str(tmp_path / "store")), long_log)
        assert (told.native_id, told.transcript_path) == (native_id, str(file))
        assert (told.verdict, told.turns, told.tokens.input) == (AgentVerdict.OK, 2, 160)
        assert told.text == "Hello from mock; prompt chars=15"

    def test_without_a_file_no_sum_is_guessed(self, long_log: str) -> None:
        told = pi.result(OVER, long_log)
        assert told.native_id == header("0.73.1", "ok")["id"]
        assert (told.tokens, told.cost_usd, told.turns) == (Tokens(), None, None)
        assert told.missing == "there is no result record", "exit 0 proves nothing"

    def test_a_predecessors_answers_do_not_count(self) -> None:
        path = str(SESSIONS / "0.73.1" / "resume.jsonl")
        second = datetime(2026, 11, 22, 6, 41, 50, tzinfo=UTC)
        assert [len(files.answers_since(path, since)) for since in (LONG_AGO, second)] == [2, 1]


class TestShown:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_a_run_with_a_tool(self, version: str) -> None:
        lines = Path(log(version, "tool")).read_text().split("\n")
        assert [(message.role, message.tool, message.text) for message in pi.log_messages(lines)] == [
            ("user", None, "Run the tool"),
            ("tool", "bash", "echo start-$$; sleep 1; echo end"),
            ("tool", "bash", "→ start-6604" if version == "0.73.1" else "→ start-6990"),
            ("assistant", None, "Hello from mock; prompt chars=15"),
        ]

    @pytest.mark.parametrize("version", VERSIONS)
    def test_retries_and_errors(self, version: str) -> None:
        lines = Path(log(version, "err500")).read_text().split("\n")
        shown = [(message.role, message.text) for message in pi.log_messages(lines)]
        assert [role for role, _ in shown] == ["user", *("error", "log") * 3, "error"]
        assert shown[2][1].startswith("retry 1 of 3 in 2 s: 500")

    def test_a_failed_tool(self) -> None:
        event = {
            "type": "tool_execution_end",
            "toolName": "read",
            "isError": True,
            "result": {"content": [{"type": "text", "text": "a\nno such file\n"}]},
        }
        (message,) = pi.log_messages([json.dumps(event)])
        assert (message.role, message.tool, message.text) == ("tool", "read", "→ failed: no such file")

    def test_unfinished_answers_and_unknown_events_are_passed_over(self) -> None:
        lines = [
            '{"type":"message_update","x":"unfinished',
            '{"type":"queue_update"}',
            "",
            "Error: oh\x1b[2J",
        ]
        assert [message.text for message in pi.log_messages(lines)] == ["Error: oh"]

    def test_an_event_that_was_cut_is_not_poured_out(self) -> None:
        """The reader of logs cuts lines of more than a mebibyte."""
        lines = ['{"type":"agent_end","messages":["x… [line cut]', '{"type":"message_end","message":{"ro']
        (message,) = pi.log_messages(lines)
        assert (message.role, message.text) == ("log", "[message_end: 36 characters, cut short]")

    def test_the_conversation_comes_from_its_file(self, tmp_path: Path) -> None:
        keep(tmp_path, "1.5.2", "resume")
        of_store = session(native_id=header("1.5.2", "resume")["id"], store_path=str(tmp_path))
        said = [(message.role, message.text) for message in pi.messages(of_store, "/none")]
        assert said == [
            ("user", "Say hello"),
            ("assistant", "Hello from mock; prompt chars=9"),
            ("user", "Second turn"),
            ("assistant", "Hello from mock; prompt chars=11"),
        ]

    def test_tools_of_a_file(self, tmp_path: Path) -> None:
        file = keep(tmp_path, "1.5.2", "sigterm_in_tool")
        said = [
            (message.role, message.text)
            for message in pi.messages(session(transcript_path=str(file)), "/none")
        ]
        assert said[1:] == [
            ("tool", "echo start-$$; sleep 600; echo end"),
            ("tool", "→ failed: Command aborted"),
            ("error", said[-1][1]),
        ]

    def test_before_there_is_a_file_it_comes_from_the_log(self, tmp_path: Path) -> None:
        waiting = session(native_id="01a2", store_path=str(tmp_path))
        said = [message.text for message in pi.messages(waiting, log("0.73.1", "sigterm_waiting"))]
        assert said == ["Say hello"]

    def test_a_line_separator_in_a_text_ends_no_line(self, tmp_path: Path) -> None:
        path = tmp_path / "x.jsonl"
        message = answer(content="one\u2028two")
        path.write_text(
            json.dumps(header("0.73.1", "ok"))
            + "\n"
            + json.dumps({"type": "message", "message": message}, ensure_ascii=False)
        )
        assert [one.text for one in pi.messages(session(transcript_path=str(path)), "/none")] == [
            "one\u2028two"
        ]


class TestListing:
    def test_a_file_is_all_that_pi_ever_tells(self, tmp_path: Path) -> None:
        keep(tmp_path, "0.73.1", "ok")
        found = session(native_id=header("0.73.1", "ok")["id"], store_path=str(tmp_path))
        assert pi.listing(found) is Listing.RUNNING

    def test_no_file_is_no_proof_of_absence(self, tmp_path: Path) -> None:
        """0.73.1 makes it with the first answer, however long that takes."""
        keep(tmp_path, "0.73.1", "ok")
        waiting = session(native_id=header("0.73.1", "sigterm_waiting")["id"], store_path=str(tmp_path))
        assert pi.listing(waiting) is Listing.UNAVAILABLE

    def test_ids_are_never_compared_by_their_beginning(self, tmp_path: Path) -> None:
        """Every id of the same minute begins with the same eight characters."""
        keep(tmp_path, "0.73.1", "ok")
        short = session(native_id=header("0.73.1", "ok")["id"][:8], store_path=str(tmp_path))
        assert pi.listing(short) is Listing.UNAVAILABLE
