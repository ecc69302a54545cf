"""What a run of opencode says of itself in its log."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentctl.adapters import opencode
from agentctl.adapters.opencode import store as opencode_store
from agentctl.core.model import AgentVerdict, Tokens
from tests.adapters.opencode_samples import (
    FINISHED,
    LOGS,
    PARENT,
    WITH_TOOL,
    change,
    copy_store,
    session,
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return copy_store(tmp_path)


class TestNativeId:
    @pytest.mark.parametrize(
        ("log", "session_id", "expected"),
        [
            ("ok.log", "ok-0000", "ses_dfd13bb6affetFchSLJI2DUd4q"),
            ("bash.log", "bash-0000", "ses_dfd13848bffei7D36wzoqZ11dB"),
            ("resumed.log", "resumed-0000", "ses_dfd13848bffei7D36wzoqZ11dB"),
            ("nomodel-1.2.27.log", "five", "ses_dfd1f2861ffeUF3UrlAdrc2aeE"),
            ("ok.log", "a user's own title was given", "ses_dfd13bb6affetFchSLJI2DUd4q"),
            ("subagent.jsonl", "x", PARENT),
            ("unknown.log", "unknown-0000", None),
            ("missing.log", "x", None),
        ],
    )
    def test_from_the_log(self, log: str, session_id: str, expected: str | None) -> None:
        assert opencode.native_id(session(session_id), str(LOGS / log)) == expected

    def test_a_subagents_session_is_not_taken(self, tmp_path: Path) -> None:
        words = "message=created id={} slug=s version=1 parentID={} title={} agent=x\n"
        log = tmp_path / "output.log"
        log.write_text(words.format("ses_child", "ses_parent", '"agentctl 0123 (@general subagent)"'))
        assert opencode.native_id(session("0123"), str(log)) is None
        with log.open("a") as file:
            file.write(words.format("ses_other", "undefined", '"something else"'))
            file.write(words.format("ses_ours", "undefined", '"agentctl 0123"'))
        assert opencode.native_id(session("0123"), str(log)) == "ses_ours"

    def test_the_database_is_asked_by_title_once_the_run_has_begun(self, tmp_path: Path, store: Path) -> None:
        change(store, "UPDATE session SET title = 'agentctl 0123' WHERE id = ?", (FINISHED,))
        log = tmp_path / "output.log"
        ours = session("0123", store_path=str(store))
        log.write_text('timestamp=2026-11-22T10:49:07.812Z level=INFO run=1 message="creating instance"\n')
        assert opencode.native_id(ours, str(log)) is None
        with log.open("a") as file:
            file.write(
                "timestamp=2026-11-22T10:49:08.812Z level=INFO run=1 message=loop session.id=x step=0\n"
            )
        assert opencode.native_id(ours, str(log)) == FINISHED

    def test_of_two_sessions_of_one_title_neither_is_taken(self, store: Path) -> None:
        change(store, "UPDATE session SET title = 'twice' WHERE id IN (?, ?)", (FINISHED, WITH_TOOL))
        assert opencode_store.id_by_title(str(store), "twice") is None


class TestResult:
    @pytest.mark.parametrize(
        ("log", "verdict", "text", "model", "counts"),
        [
            ("ok.log", AgentVerdict.OK, "Hello from the fake model", "mock/mock", (10, 3, 1)),
            ("write.log", AgentVerdict.OK, "The tool has run", "mock/tool-write", (20, 6, 2)),
            ("resumed.log", AgentVerdict.OK, "user message 2: and now?", "mock/echo", (10, 3, 1)),
            ("bash.log", AgentVerdict.SILENT, None, "mock/tool-bash-30", (None, None, None)),
            (
                "http401.log",
                AgentVerdict.ERROR,
                "the fake model says 401",
                "mock/http401",
                (None, None, None),
            ),
            (
                "http429.log",
                AgentVerdict.ERROR,
                "the fake model says 429",
                "mock/http429",
                (None, None, None),
            ),
            (
                "nomodel.log",
                AgentVerdict.ERROR,
                "ProviderModelNotFoundError: Model not found: mock/nosuch.",
                None,
                (None, None, None),
            ),
            (
                "nomodel-1.2.27.log",
                AgentVerdict.ERROR,
                "Model not found: mock/nosuch.",
                None,
                (None, None, None),
            ),
            (
                "outside.log",
                AgentVerdict.ERROR,
                "stopped early: permission external_directory (/tmp/demo/*) was rejected",
                "mock/tool-write-outside",
                (10, 3, 1),
            ),
            ("unknown.log", AgentVerdict.ERROR, "Session not found", None, (None, None, None)),
            ("missing.log", AgentVerdict.SILENT, None, None, (None, None, None)),
        ],
    )
    def test_from_the_log_alone(
        self,
        log: str,
        verdict: AgentVerdict,
        text: str | None,
        model: str | None,
        counts: tuple[int | None, int | None, int | None],
    ) -> None:
        found = opencode.result(session(), str(LOGS / log))
        assert (found.verdict, found.text, found.model) == (verdict, text, model)
        assert (found.tokens.input, found.tokens.output, found.turns) == counts
        assert found.cost_usd == (0.0 if found.turns else None)

    def test_who_and_where(self) -> None:
        found = opencode.result(session(store_path="/nowhere/opencode.db"), str(LOGS / "ok.log"))
        assert found.native_id == "ses_dfd13bb6affetFchSLJI2DUd4q"
        assert found.adapter_version == "1.18.33"
        assert found.transcript_path == "/nowhere/opencode.db"
        assert found.tokens == Tokens(input=10, output=3, cache_read=0, cache_write=0)

    @pytest.mark.parametrize(
        ("log", "note"),
        [
            ("outside.log", "permission external_directory (/tmp/demo/*) was rejected"),
            (
                "http429.log",
                "the model's server failed 6 times, most recently: AI_APICallError: the fake",
            ),
        ],
    )
    def test_what_a_person_should_know(self, log: str, note: str) -> None:
        (found,) = opencode.result(session(), str(LOGS / log)).notes
        assert found.startswith(note)

    @pytest.mark.parametrize("log", ["ok.log", "bash.log", "http401.log"])
    def test_nothing_to_know(self, log: str) -> None:
        assert opencode.result(session(), str(LOGS / log)).notes == ()

    def test_a_retry_is_noted_while_it_waits(self, tmp_path: Path) -> None:
        lines = (LOGS / "http429.log").read_text().splitlines(keepends=True)
        first = next(index for index, line in enumerate(lines) if "stream error" in line)
        log = tmp_path / "output.log"
        log.write_text("".join(lines[: first + 1]))
        found = opencode.result(session(), str(log))
        assert found.verdict is AgentVerdict.SILENT
        assert found.notes[0].startswith("the model's server failed once")

    def test_every_beginning_of_a_successful_log_is_silent(self, tmp_path: Path) -> None:
        lines = (LOGS / "write.log").read_text().splitlines(keepends=True)
        last = max(index for index, line in enumerate(lines) if '"step_finish"' in line)
        log = tmp_path / "output.log"
        for count in range(last):
            log.write_text("".join(lines[:count]) + lines[count][:-10])
            assert opencode.result(session(), str(log)).verdict is AgentVerdict.SILENT
        log.write_text("".join(lines[: last + 1]))
        assert opencode.result(session(), str(log)).verdict is AgentVerdict.OK

    def test_an_answer_cut_off_is_a_success_with_a_note(self, tmp_path: Path) -> None:
        log = tmp_path / "output.log"
        log.write_text((LOGS / "ok.log").read_text().replace('"reason":"stop"', '"reason":"length"'))
        found = opencode.result(session(), str(log))
        assert found.verdict is AgentVerdict.OK
        assert found.notes == ("the answer was cut off at the model's output limit",)

    def test_a_run_that_ends_between_two_steps_stopped_early(self, tmp_path: Path) -> None:
        lines = (LOGS / "outside.log").read_text().splitlines(keepends=True)
        log = tmp_path / "output.log"
        log.write_text("".join(line for line in lines if "auto-rejecting" not in line))
        found = opencode.result(session(), str(log))
        assert found.verdict is AgentVerdict.ERROR
        assert found.text == "stopped early: the last step ended with 'tool-calls' and none followed"

    @pytest.mark.parametrize(
        "line",
        [
            '{"type":"step_finish","part":{"reason":[1],"tokens":{"input":"many","cache":3},"cost":"much"}}',
            '{"type":"step_finish","part":{"tokens":{"input":NaN,"output":Infinity},"cost":-Infinity}}',
            '{"type":["text"],"part":"none"}',
            '{"type":"text","part":{"text":{"a":1}}}',
            '{"type":"error"}',
            '{"type":"error","error":"it broke"}',
            '{"type":"error","error":{"data":[]}}',
            '{"type":"text","part":{"text":"half a pair \\ud83d"}}',
            '{"type":"text","part":' + "[" * 100_000,
            '{"type":"tool_use","part":{"type":"tool","state":7,"tool":null}}',
            "timestamp=x level=ERROR message=",
            "\udcff\x00\x1b[31m",
        ],
    )
    def test_bad_data_raises_nothing(self, tmp_path: Path, line: str) -> None:
        log = tmp_path / "output.log"
        log.write_bytes(line.encode("utf-8", "surrogateescape") + b"\n" + b'{"type":"te')
        found = opencode.result(session(store_path=str(tmp_path / "none.db"), native_id="ses_1"), str(log))
        assert found.turns in (None, 1)
        list(opencode.log_messages([line]))
        assert opencode.native_id(session(), str(log)) is None

    def test_an_error_of_another_shape_is_an_error(self, tmp_path: Path) -> None:
        log = tmp_path / "output.log"
        log.write_text('{"type":"error","error":"it broke"}\n')
        found = opencode.result(session(), str(log))
        assert (found.verdict, found.text) == (AgentVerdict.ERROR, "it broke")


class TestLogMessages:
    @pytest.mark.parametrize(
        ("log", "expected"),
        [
            (
                "write.log",
                [
                    ("assistant", "Calling a tool"),
                    ("tool", "hello.txt → Wrote file successfully."),
                    ("assistant", "The tool has run"),
                ],
            ),
            (
                "http401.log",
                [
                    ("log", "ERROR stream error: AI_APICallError: the fake model says 401"),
                    ("log", "ERROR process: the fake model says 401"),
                    ("error", "the fake model says 401"),
                ],
            ),
            ("unknown.log", [("log", "Error: Session not found")]),
            ("bash.log", []),
        ],
    )
    def test_a_log_made_readable(self, log: str, expected: list[tuple[str, str]]) -> None:
        found = opencode.log_messages((LOGS / log).read_text().splitlines())
        assert [(message.role, message.text) for message in found] == expected

    def test_other_lines_stay_without_colours(self) -> None:
        lines = ["\x1b[93m\x1b[1m! \x1b[0mpermission requested: x", "", "  indented", '{"no":"event"}']
        found = [(message.role, message.text) for message in opencode.log_messages(lines)]
        assert found == [
            ("log", "! permission requested: x"),
            ("log", "  indented"),
            ("log", '{"no":"event"}'),
        ]

    def test_old_releases_print_in_other_words(self) -> None:
        lines = (LOGS / "nomodel-1.2.27.log").read_text().splitlines()
        found = [message.text for message in opencode.log_messages(lines)]
        assert found[0].startswith("ERROR service=default e=Unable to connect.")
        assert found[-1] == "Model not found: mock/nosuch."
        assert not any("service=bus" in text for text in found)


class TestTransient:
    LOCKED = "\x1b[91m\x1b[1mError: \x1b[0mUnexpected error\n\ndatabase is locked\n"
    MIGRATION = "Error: Failed query: CREATE TABLE `workspace` (\n"

    @pytest.mark.parametrize("text", [LOCKED, MIGRATION])
    def test_it_failed_before_it_began(self, tmp_path: Path, text: str) -> None:
        assert self.ask(tmp_path, text)
        assert not self.ask(tmp_path, text, exit_code=2)
        assert not self.ask(tmp_path, text, exit_code=0)

    @pytest.mark.parametrize("log", ["ok.log", "http401.log", "nomodel.log", "bash.log", "resumed.log"])
    def test_a_run_that_began_is_not_begun_again(self, tmp_path: Path, log: str) -> None:
        assert not self.ask(tmp_path, (LOGS / log).read_text() + self.LOCKED)

    def test_a_session_that_was_created_is_not_created_again(self, tmp_path: Path) -> None:
        lines = (LOGS / "ok.log").read_text().splitlines(keepends=True)
        created = next(index for index, line in enumerate(lines) if "message=created" in line)
        assert self.ask(tmp_path, "".join(lines[:created]) + self.LOCKED)
        assert not self.ask(tmp_path, "".join(lines[: created + 1]) + self.LOCKED)

    @pytest.mark.parametrize("text", ["", "Error: Session not found\n"])
    def test_other_failures_are_its_own(self, tmp_path: Path, text: str) -> None:
        assert not self.ask(tmp_path, text)

    def test_the_error_is_told_in_one_line(self, tmp_path: Path) -> None:
        log = tmp_path / "output.log"
        log.write_text(self.LOCKED)
        assert opencode.result(session(), str(log)).text == "Unexpected error: database is locked"

    @staticmethod
    def ask(tmp_path: Path, text: str, exit_code: int = 1) -> bool:
        log = tmp_path / "output.log"
        log.write_text(text)
        return opencode.is_transient(exit_code, str(log))
