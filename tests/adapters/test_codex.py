"""What codex's log and its session file say of a run."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agentctl.adapters import codex, reading
from agentctl.adapters.base import Message
from agentctl.adapters.codex import log
from agentctl.core.model import AgentVerdict, Listing, Result, Session, Tokens
from tests.adapters.codex_samples import THREADS, append, log_of, put, session

ONE = Tokens(input=1234, output=56, cache_read=1000, cache_write=0)
GREETING = "Hello from the mock model. Done."
UNAUTHORIZED = "unexpected status 401 Unauthorized: Incorrect API key provided: sk-mock., url: "
BETWEEN = datetime(2026, 11, 22, 6, 31, 20, tzinfo=UTC)
"""After the first turn of the thread `finished`, before the second one of `resumed`."""


def told(name: str, store: Path | None, **changes: object) -> Result:
    row = session(store_path=str(store) if store else None, **changes)
    return codex.result(row, log_of(name))


class TestResult:
    def test_of_a_success(self, tmp_path: Path) -> None:
        path = put(tmp_path, "finished")
        assert told("finished", tmp_path) == Result(
            verdict=AgentVerdict.OK,
            text=GREETING,
            native_id=THREADS["finished"],
            model="gpt-5.5",
            tokens=ONE,
            turns=1,
            transcript_path=str(path),
            adapter_version="0.169.0",
        )

    def test_a_failing_command_fails_no_run(self, tmp_path: Path) -> None:
        put(tmp_path, "tool-call")
        found = told("tool-call", tmp_path)
        assert (found.verdict, found.turns) == (AgentVerdict.OK, 3)
        assert found.tokens == Tokens(input=3702, output=168, cache_read=3000, cache_write=0)

    def test_of_a_failure_that_was_tried_again(self, tmp_path: Path) -> None:
        put(tmp_path, "failed-401")
        found = told("failed-401", tmp_path)
        assert found.verdict is AgentVerdict.ERROR
        assert found.text == f"{UNAUTHORIZED}http://127.0.0.1:8941/e401/v1/responses"
        assert (found.turns, found.tokens) == (None, Tokens())
        (note,) = found.notes
        assert note.startswith(f"the model's server failed 2 times, most recently: {UNAUTHORIZED}")

    def test_of_a_failure_at_once(self) -> None:
        found = told("failed-429", None)
        assert (found.verdict, found.notes) == (AgentVerdict.ERROR, ())
        assert found.text == "exceeded retry limit, last status: 429 Too Many Requests"

    def test_of_this_run_alone_where_the_thread_has_others(self, tmp_path: Path) -> None:
        put(tmp_path, "resumed")
        found = told("resumed", tmp_path, created_at=BETWEEN, resumed_from="0000")
        assert (found.verdict, found.tokens, found.turns) == (AgentVerdict.OK, ONE, 1)
        assert (found.native_id, found.model) == (THREADS["finished"], "gpt-5.5")
        assert found.adapter_version is None, "the file names the release that began the thread"

    def test_a_sum_of_several_runs_is_not_told_as_that_of_one(self, tmp_path: Path) -> None:
        assert told("resumed", None, resumed_from="0000").tokens == Tokens()
        assert told("finished", None).tokens == ONE

    @pytest.mark.parametrize("name", ["killed", "midrun", "midrun-tool"])
    def test_nothing_is_said_of_a_run_without_an_end(self, tmp_path: Path, name: str) -> None:
        put(tmp_path, name)
        found = told(name, tmp_path)
        assert (found.verdict, found.text) == (AgentVerdict.SILENT, None)
        assert (found.native_id, found.model) == (THREADS[name], "gpt-5.5")

    def test_an_interrupted_run_is_told_by_its_session_file_alone(self, tmp_path: Path) -> None:
        assert told("interrupted", tmp_path).verdict is AgentVerdict.SILENT
        put(tmp_path, "interrupted")
        found = told("interrupted", tmp_path)
        assert (found.verdict, found.text) == (AgentVerdict.ERROR, "the turn was interrupted")

    @pytest.mark.parametrize(
        ("name", "verdict", "text"),
        [("finished", AgentVerdict.OK, GREETING), ("failed-401", AgentVerdict.ERROR, UNAUTHORIZED)],
    )
    def test_a_log_that_lost_its_end_is_made_up_for_by_the_session_file(
        self, tmp_path: Path, name: str, verdict: AgentVerdict, text: str
    ) -> None:
        put(tmp_path, name)
        short = tmp_path / "output.log"
        short.write_text(Path(log_of(name)).read_text().split("\n")[0] + "\n")
        found = codex.result(session(store_path=str(tmp_path)), str(short))
        assert found.verdict is verdict
        assert (found.text or "").startswith(text)

    def test_a_later_turn_is_not_this_runs(self, tmp_path: Path) -> None:
        """A message that was queued begins a turn which the ending process aborts."""
        path = put(tmp_path, "finished")
        append(path, "event_msg", {"type": "task_started", "turn_id": "queued", "started_at": 1795356000})
        append(path, "event_msg", {"type": "turn_aborted", "turn_id": "queued", "reason": "interrupted"})
        short = tmp_path / "output.log"
        short.write_text(Path(log_of("finished")).read_text().split("\n")[0] + "\n")
        found = codex.result(session(store_path=str(tmp_path)), str(short))
        assert (found.verdict, found.text) == (AgentVerdict.OK, GREETING)

    def test_an_end_may_not_be_the_last_record(self, tmp_path: Path) -> None:
        path = put(tmp_path, "interrupted")
        append(path, "event_msg", {"type": "item_completed", "item": {"type": "CommandExecution"}})
        assert told("interrupted", tmp_path).text == "the turn was interrupted"

    def test_a_turn_whose_beginning_is_out_of_reach(self, tmp_path: Path) -> None:
        """Of a very long session file only the ends are read; a turn's end tells when it began."""
        path = put(tmp_path, "interrupted")
        lines = path.read_text().splitlines(keepends=True)
        path.write_text(lines[0] + lines[-1])
        began = datetime(2026, 11, 22, 6, 31, 21, tzinfo=UTC)
        for created, verdict in ((began, AgentVerdict.ERROR), (began + timedelta(seconds=1), "silent")):
            assert told("interrupted", tmp_path, created_at=created).verdict == verdict

    def test_what_the_sandbox_refused_is_noted(self, tmp_path: Path) -> None:
        put(tmp_path, "refused")
        found = told("refused", tmp_path)
        assert (found.verdict, found.text) == (AgentVerdict.OK, "The tool has run")
        metadata, sandbox = found.notes
        assert metadata.startswith("Model metadata for `tool-write` not found")
        assert sandbox == (
            "the sandbox refused a command: /bin/bash: line 1: hello.txt: Read-only file system"
        )

    @pytest.mark.parametrize("old", ["exited with code 1", '"sandbox_policy":{"type":"read-only"'])
    def test_what_only_reads_like_a_refusal_is_not_noted(self, tmp_path: Path, old: str) -> None:
        """A command that succeeded may print anything; without a sandbox nothing is refused by it."""
        path = put(tmp_path, "refused")
        new = {"exited with code 1": "exited with code 0"}.get(
            old, old.replace("read-only", "danger-full-access")
        )
        assert path.read_text().count(old) == 1
        path.write_text(path.read_text().replace(old, new))
        assert len(told("refused", tmp_path).notes) == 1

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("not-git", "Not inside a trusted directory and --skip-git-repo-check was not specified."),
            ("bad-flag", "unexpected argument '--nope' found"),
            ("unknown-id", "thread/resume: thread/resume failed: no rollout found for thread id 01a201e5-"),
        ],
    )
    def test_of_a_run_that_never_began(self, name: str, text: str) -> None:
        found = told(name, None)
        assert found.verdict is AgentVerdict.ERROR
        assert (found.text or "").startswith(text)
        assert found.native_id is None

    def test_the_id_is_that_of_the_log_whatever_was_asked_for(self, tmp_path: Path) -> None:
        """An id that codex does not know starts another thread: only so is it noticed."""
        put(tmp_path, "finished")
        found = told("finished", tmp_path, native_id=THREADS["killed"])
        assert found.native_id == THREADS["finished"]

    @pytest.mark.parametrize(
        ("message", "text"),
        [
            ('{"error": {"message": "bad request", "type": "invalid"}}', "bad request"),
            ("two\nlines", "two lines"),
            (None, "an error without a message"),
        ],
    )
    def test_an_error_is_one_line(self, message: str | None, text: str) -> None:
        assert log.error_text({"message": message}) == text

    def test_an_endless_wait_for_the_network_is_a_retry(self) -> None:
        event = {"message": "Reconnecting... waiting for network (error sending request)"}
        assert log.retry_reason(event) == "error sending request"


class TestNativeId:
    def test_from_the_first_event(self) -> None:
        for name in ("finished", "midrun", "refused"):
            assert codex.native_id(session(), log_of(name)) == THREADS[name]

    def test_none_where_no_thread_began(self) -> None:
        assert codex.native_id(session(), log_of("not-git")) is None


class TestListing:
    def row(self, store: Path, name: str = "killed") -> Session:
        return session(store_path=str(store), native_id=THREADS[name])

    @pytest.mark.parametrize(
        "directory",
        ["sessions/2026/11/21", "sessions/2026/11/23", "sessions/2020/01/01", "archived_sessions"],
    )
    def test_wherever_the_session_file_lies(self, tmp_path: Path, directory: str) -> None:
        put(tmp_path, "killed", directory=directory)
        assert codex.listing(self.row(tmp_path)) is Listing.RUNNING

    def test_a_thread_that_is_not_there_proves_nothing(self, tmp_path: Path) -> None:
        """A run that was told to keep no session file is at work all the same."""
        put(tmp_path, "finished")
        assert codex.listing(self.row(tmp_path)) is Listing.UNAVAILABLE

    @pytest.mark.parametrize(
        "native_id",
        [
            "../../etc/passwd",
            "",
            "*",
            "e677d21f-dbff-7000-8000-000000000000",
            "ffffffff-ffff-7000-8000-000000000000",
            "01A201F3-C6BD-71C0-B7B7-04CE80292034",
        ],
    )
    def test_a_strange_id_is_looked_for_nowhere(self, tmp_path: Path, native_id: str) -> None:
        put(tmp_path, "killed")
        row = session(store_path=str(tmp_path), native_id=native_id)
        assert codex.listing(row) is Listing.UNAVAILABLE


def spoken(name: str) -> list[tuple[str, str]]:
    found = codex.log_messages(reading.tail_lines(log_of(name), 1 << 20))
    return [(message.role, message.text) for message in found]


class TestLogMessages:
    def test_what_was_done_and_said(self) -> None:
        asked = "printf 'one\\ntwo\\n' > notes.txt; cat notes.txt; ls missing"
        assert spoken("tool-call") == [
            ("tool", f"{asked} → running"),
            ("tool", f"{asked} → exit 2: one"),
            ("tool", "add /home/dev/project/added.txt → done"),
            ("assistant", GREETING),
        ]

    def test_an_error_is_told_once(self) -> None:
        texts = [text.partition(" (")[0] for role, text in spoken("failed-401") if role == "error"]
        final = f"{UNAUTHORIZED}http://127.0.0.1:8941/e401/v1/responses"
        assert texts == ["Reconnecting... 1/2", "Reconnecting... 2/2", final]

    def test_what_every_start_prints_is_left_out(self) -> None:
        roles = [role for role, _ in spoken("refused")]
        assert roles == ["log", "assistant", "assistant"]
        assert spoken("refused")[0][1].startswith("warning: Model metadata")
        assert [text for _, text in spoken("not-git")] == [
            "Not inside a trusted directory and --skip-git-repo-check was not specified."
        ]

    def test_unknown_records_are_passed_over(self) -> None:
        lines = ['{"type":"brand.new"}', '{"type":"item.completed","item":{"type":"brand_new"}}', '{"a":1}']
        assert [message.text for message in codex.log_messages(lines)] == ['{"a":1}']

    def test_control_sequences_are_taken_out(self) -> None:
        (message,) = codex.log_messages(["\x1b[31mpanic\x1b[0m"])
        assert message.text == "panic"


class TestMessages:
    def conversation(self, store: Path, name: str) -> list[Message]:
        put(store, name)
        return list(codex.messages(session(store_path=str(store), native_id=THREADS[name]), log_of(name)))

    def test_with_prompts_and_of_all_runs(self, tmp_path: Path) -> None:
        found = self.conversation(tmp_path, "resumed")
        assert [(message.role, message.text) for message in found] == [
            ("user", "Say hello"),
            ("assistant", GREETING),
            ("user", "Now say it again"),
            ("assistant", GREETING),
        ]
        assert found[0].at == datetime(2026, 11, 22, 6, 31, 10, 334000, tzinfo=UTC)

    def test_tools_with_their_outcome(self, tmp_path: Path) -> None:
        tools = [(one.tool, one.text) for one in self.conversation(tmp_path, "tool-call") if one.tool]
        assert tools == [
            ("exec_command", "printf 'one\\ntwo\\n' > notes.txt; cat notes.txt; ls missing → exit 2: one"),
            ("apply_patch", "add /home/dev/project/added.txt → done"),
        ]

    def test_a_tool_that_is_at_work(self, tmp_path: Path) -> None:
        last = self.conversation(tmp_path, "midrun-tool")[-1]
        assert (last.role, last.text) == ("tool", "echo started; sleep 300 → running")

    def test_a_tool_that_codex_tells_of_by_its_answer_alone(self, tmp_path: Path) -> None:
        (told,) = [one.text for one in self.conversation(tmp_path, "refused") if one.role == "tool"]
        assert told.endswith("→ /bin/bash: line 1: hello.txt: Read-only file system")

    def test_errors_and_interruptions(self, tmp_path: Path) -> None:
        failed = self.conversation(tmp_path, "failed-401")[-1]
        assert (failed.role, failed.text[:40]) == ("error", UNAUTHORIZED[:40])
        assert self.conversation(tmp_path, "interrupted")[-1].text == "the turn was interrupted"

    def test_from_the_log_where_there_is_no_session_file(self, tmp_path: Path) -> None:
        row = session(store_path=str(tmp_path), native_id=THREADS["finished"])
        assert [message.text for message in codex.messages(row, log_of("finished"))] == [GREETING]


def test_long_session_files_are_read_from_both_ends(tmp_path: Path) -> None:
    path = put(tmp_path, "finished")
    filler = json.dumps({"type": "response_item", "payload": {"type": "message", "text": "x" * 1000}})
    first, *rest = path.read_text().splitlines(keepends=True)
    path.write_text(first + f"{filler}\n" * 17_000 + "".join(rest))
    assert path.stat().st_size > codex.rollout.TAIL
    found = told("finished", tmp_path)
    assert (found.model, found.tokens, found.adapter_version) == ("gpt-5.5", ONE, "0.169.0")
