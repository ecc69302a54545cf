"""The opencode adapter, on logs and stores that the real program wrote."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agentctl.adapters import opencode, opencode_store
from agentctl.adapters.base import LaunchRequest, NativeSession, Process
from agentctl.core.model import AgentVerdict, Listing, Session, Status, Tokens
from agentctl.errors import AgentctlError, NotFound, UsageFault

DATA = Path(__file__).parent.parent / "data" / "opencode"
LOGS = DATA / "logs"

FINISHED = "ses_dfdd44dc5ffewUU8S5CqY9sWpb"
WITH_TOOL = "ses_dfdd44402ffe0Nee54DEE0wVPF"
FAILED_401 = "ses_dfdd42478ffe02Bd7sp6G3AzVy"
NO_MODEL = "ses_dfdd40539ffewH14kbIo2BS6Fa"
REJECTED = "ses_dfdd3fee8ffebKbl7hhvjcufTn"
PARENT = "ses_dfdd3ed26ffegdtE2y5V173HYe"
CHILD = "ses_dfdd3e88effeMgVYTmo4hPxwIH"
KILLED = "ses_dfdd3df64ffedXKC6T4Bu6nWel"
AT_WORK = "ses_dfdd3c7a3ffePeQ02WBSJPiM5j"
LEGACY = "ses_dfdd2ed9bffe7EBPnYq5ALj1cW"
LEGACY_401 = "ses_dfdd2ea24ffeYzwwsOGS3BzBRf"

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def session(session_id: str = "ok-0000", **changes: Any) -> Session:
    fields: dict[str, Any] = {
        "id": session_id,
        "adapter": "opencode",
        "cwd": "/project",
        "status": Status.RUNNING,
        "created_at": LONG_AGO,
    }
    return Session(**(fields | changes))


def request(**changes: Any) -> LaunchRequest:
    fields: dict[str, Any] = {"session_id": "0123", "cwd": "/project", "prompt": "Do it"}
    return LaunchRequest(**(fields | changes))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A database in the mode in which the program keeps it."""
    path = tmp_path / "data" / "opencode.db"
    path.parent.mkdir()
    shutil.copyfile(DATA / "opencode-1.18.33.db", path)
    change(path, "PRAGMA journal_mode = WAL")
    return path


@pytest.fixture
def legacy(tmp_path: Path) -> Path:
    """Where the database would be in a home that only knows the JSON tree."""
    path = tmp_path / "legacy" / "opencode.db"
    shutil.copytree(DATA / "legacy-storage", path.parent / "storage")
    return path


def change(path: Path, sql: str, values: tuple[object, ...] = ()) -> None:
    db = sqlite3.connect(path)
    db.execute(sql, values)
    db.commit()
    db.close()


class TestLaunch:
    def test_prompt_on_stdin_and_everything_else_on_the_command_line(self) -> None:
        command = opencode.launch_command(request(model="anthropic/claude", args=("--thinking",)))
        assert command.argv == (
            *("opencode", "run", "--format", "json", "--print-logs", "--dir", "/project"),
            *("--title", "agentctl 0123", "-m", "anthropic/claude", "--thinking"),
        )
        assert command.stdin == "Do it"
        assert command.env == {"PWD": "/project"}
        assert command.native_id is None

    def test_prompt_is_handed_over_byte_for_byte(self) -> None:
        prompt = ' --help\n"quoted" $HOME\n\n'
        assert opencode.launch_command(request(prompt=prompt)).stdin == prompt

    @pytest.mark.parametrize("prompt", [None, "", " \n\t"])
    def test_an_empty_prompt_is_refused(self, prompt: str | None) -> None:
        with pytest.raises(UsageFault, match="needs a prompt"):
            opencode.launch_command(request(prompt=prompt))

    @pytest.mark.parametrize("model", ["gpt-5", "/gpt-5", "openai/", ""])
    def test_a_model_without_provider_is_refused_by_name(self, model: str) -> None:
        if not model:
            assert "-m" not in opencode.launch_command(request(model=model)).argv
            return
        with pytest.raises(UsageFault, match="provider/model") as caught:
            opencode.launch_command(request(model=model))
        assert repr(model) in caught.value.message

    def test_a_model_may_hold_further_slashes(self) -> None:
        assert "openrouter/meta/llama" in opencode.launch_command(request(model="openrouter/meta/llama")).argv

    def test_configuration_gives_defaults(self) -> None:
        config = {"model": "p/default", "args": ["--thinking"], "agent": "plan"}
        argv = opencode.launch_command(request(config=config, args=("--share",), program=("npx", "oc"))).argv
        assert argv[:3] == ("npx", "oc", "run")
        assert argv[-6:] == ("-m", "p/default", "--agent", "plan", "--thinking", "--share")

    def test_the_users_own_words_beat_defaults(self) -> None:
        words = ("--title=mine", "-m", "p/mine", "--agent", "build")
        argv = opencode.launch_command(request(model="p/other", config={"agent": "plan"}, args=words)).argv
        assert argv[7:] == words

    @pytest.mark.parametrize(
        "option", ["--format", "--dir=/x", "--attach", "--session", "-s", "--continue", "-c"]
    )
    def test_options_that_agentctl_needs_are_refused(self, option: str) -> None:
        with pytest.raises(UsageFault, match=option.partition("=")[0]):
            opencode.launch_command(request(args=(option, "value")))

    def test_words_after_a_double_dash_are_words(self) -> None:
        assert opencode.launch_command(request(args=("--", "--format"))).argv[-2:] == ("--", "--format")

    @pytest.mark.parametrize("args", ["--thinking", [1]])
    def test_configured_args_of_another_kind_are_refused(self, args: object) -> None:
        with pytest.raises(UsageFault, match=r"\[adapters.opencode\]"):
            opencode.launch_command(request(config={"args": args}))


class TestResume:
    def test_same_conversation_same_directory_no_title(self) -> None:
        old = session(native_id="ses_1", cwd="/elsewhere")
        command = opencode.resume_command(old, request(prompt="And now?", config={"model": "p/default"}))
        assert command.argv == (
            *("opencode", "run", "--format", "json", "--print-logs", "--dir", "/elsewhere"),
            *("--session", "ses_1"),
        )
        assert (command.stdin, command.env["PWD"], command.native_id) == ("And now?", "/elsewhere", "ses_1")

    def test_a_model_of_this_request_is_used(self) -> None:
        assert opencode.resume_command(session(native_id="ses_1"), request(model="p/m")).argv[-2:] == ("-m", "p/m")

    def test_without_a_native_id_the_error_says_what_is_missing(self) -> None:
        with pytest.raises(NotFound, match="no opencode session id") as caught:
            opencode.resume_command(session(), request())
        assert isinstance(caught.value, AgentctlError)
        assert "agentctl rerun" in (caught.value.hint or "")

    @pytest.mark.parametrize("given", [None, "", "{}"])
    def test_nothing_may_ask_a_person(self, given: str | None) -> None:
        environ = {} if given is None else {"OPENCODE_PERMISSION": given}
        assert self.permissions(environ) == {"question": "deny", "plan_enter": "deny", "plan_exit": "deny"}

    def test_the_users_permissions_are_kept_and_come_first(self) -> None:
        own = {"question": "allow", "edit": "deny", "*": "allow"}
        merged = self.permissions({"OPENCODE_PERMISSION": json.dumps(own)})
        assert list(merged) == ["edit", "*", "question", "plan_enter", "plan_exit"]
        assert merged["question"] == "deny"

    @pytest.mark.parametrize("given", ['"allow"', "{broken", "[]"])
    def test_a_value_that_is_no_object_is_left_alone(self, given: str) -> None:
        old = session(native_id="ses_1")
        command = opencode.resume_command(old, request(environ={"OPENCODE_PERMISSION": given}))
        assert "OPENCODE_PERMISSION" not in command.env

    @staticmethod
    def permissions(environ: Mapping[str, str]) -> dict[str, str]:
        command = opencode.resume_command(session(native_id="ses_1"), request(environ=environ))
        value: dict[str, str] = json.loads(command.env["OPENCODE_PERMISSION"] or "")
        return value


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HOME": "/h"}, "/h/.local/share/opencode/opencode.db"),
        ({"HOME": "/h", "XDG_DATA_HOME": ""}, "/h/.local/share/opencode/opencode.db"),
        ({"HOME": "/h", "XDG_DATA_HOME": "/x"}, "/x/opencode/opencode.db"),
        ({"XDG_DATA_HOME": "/x", "OPENCODE_DB": "other.db"}, "/x/opencode/other.db"),
        ({"HOME": "/h", "OPENCODE_DB": "/y/other.db"}, "/y/other.db"),
        ({"OPENCODE_DB": "/y/other.db"}, "/y/other.db"),
        ({"OPENCODE_DB": "other.db"}, None),
        ({"XDG_DATA_HOME": "relative"}, None),
        ({}, None),
    ],
)
def test_store_path(environ: Mapping[str, str], expected: str | None) -> None:
    assert opencode.store_path(environ) == expected


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
            file.write("timestamp=2026-11-22T10:49:08.812Z level=INFO run=1 message=loop session.id=x step=0\n")
        assert opencode.native_id(ours, str(log)) == FINISHED

    def test_of_two_sessions_of_one_title_neither_is_taken(self, store: Path) -> None:
        change(store, "UPDATE session SET title = 'twice' WHERE id IN (?, ?)", (FINISHED, WITH_TOOL))
        assert opencode_store.id_by_title(str(store), "twice") is None


class TestListing:
    @pytest.mark.parametrize("native_id", [FINISHED, KILLED, AT_WORK, NO_MODEL, CHILD])
    def test_whatever_is_there_is_running(self, store: Path, native_id: str) -> None:
        assert self.look(store, native_id) is Listing.RUNNING

    def test_absent_after_a_complete_look(self, store: Path) -> None:
        assert self.look(store, "ses_nosuch") is Listing.ABSENT

    def test_the_tree_of_old_releases_is_looked_at_too(self, store: Path, legacy: Path) -> None:
        assert self.look(legacy, LEGACY) is Listing.RUNNING
        assert self.look(legacy, "ses_nosuch") is Listing.UNAVAILABLE  # there is no database
        shutil.copyfile(store, legacy)
        assert self.look(legacy, LEGACY) is Listing.RUNNING
        assert self.look(legacy, "ses_nosuch") is Listing.ABSENT

    def test_old_schema(self, tmp_path: Path) -> None:
        path = tmp_path / "opencode.db"
        shutil.copyfile(DATA / "opencode-1.2.27.db", path)
        assert self.look(path, "ses_dfd1f2861ffeUF3UrlAdrc2aeE") is Listing.RUNNING
        assert self.look(path, "ses_nosuch") is Listing.ABSENT

    def test_unavailable_before_anything_is_known(self, store: Path) -> None:
        assert opencode.listing(session(store_path=str(store))) is Listing.UNAVAILABLE
        assert opencode.listing(session(native_id=FINISHED)) is Listing.UNAVAILABLE

    def test_unavailable_without_a_file(self, tmp_path: Path) -> None:
        assert self.look(tmp_path / "opencode.db", FINISHED) is Listing.UNAVAILABLE
        assert not (tmp_path / "opencode.db").exists()

    @pytest.mark.parametrize("content", [b"", b"no database at all" * 100])
    def test_unavailable_where_the_file_is_not_what_it_should_be(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "opencode.db"
        path.write_bytes(content)
        assert self.look(path, FINISHED) is Listing.UNAVAILABLE

    def test_unavailable_while_somebody_holds_it(self, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(opencode_store, "BUSY_SECONDS", 0.05)
        holder = sqlite3.connect(store, isolation_level=None)
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        holder.execute("UPDATE session SET title = title")
        assert self.look(store, "ses_nosuch") is Listing.UNAVAILABLE
        holder.close()
        assert self.look(store, "ses_nosuch") is Listing.ABSENT

    def test_unavailable_where_another_build_keeps_a_database_beside_it(self, store: Path) -> None:
        (store.parent / "opencode-dev.db").touch()
        assert self.look(store, "ses_nosuch") is Listing.UNAVAILABLE
        assert self.look(store, FINISHED) is Listing.RUNNING

    def test_any_character_in_the_path(self, store: Path, tmp_path: Path) -> None:
        odd = tmp_path / "50% off? #1 ü"
        store.parent.rename(odd)
        assert self.look(odd / "opencode.db", FINISHED) is Listing.RUNNING
        assert self.look(odd / "opencode.db", "ses_nosuch") is Listing.ABSENT

    @pytest.mark.parametrize("native_id", ["../../../opencode", "..", "", "a\0b", "x' OR 1=1 --"])
    def test_an_id_cannot_lead_elsewhere(self, store: Path, native_id: str) -> None:
        (store.parent / "storage" / "session" / "project").mkdir(parents=True)
        (store.parent / "opencode.json").write_text("{}")
        assert self.look(store, native_id) is Listing.ABSENT

    def test_looking_changes_nothing(self, tmp_path: Path) -> None:
        path = tmp_path / "data" / "opencode.db"
        path.parent.mkdir()
        shutil.copyfile(DATA / "opencode-1.18.33.db", path)
        before = path.read_bytes()
        ours = session(native_id=FINISHED, store_path=str(path))
        assert opencode.listing(ours) is Listing.RUNNING
        assert list(opencode.messages(ours, "/nowhere"))
        assert list(opencode.discover(str(path)))
        assert [file.name for file in path.parent.iterdir()] == ["opencode.db"]
        assert path.read_bytes() == before

    @staticmethod
    def look(path: Path, native_id: str) -> Listing:
        return opencode.listing(session(native_id=native_id, store_path=str(path)))


class TestResult:
    @pytest.mark.parametrize(
        ("log", "verdict", "text", "model", "counts"),
        [
            ("ok.log", AgentVerdict.OK, "Hello from the fake model", "mock/mock", (10, 3, 1)),
            ("write.log", AgentVerdict.OK, "The tool has run", "mock/tool-write", (20, 6, 2)),
            ("resumed.log", AgentVerdict.OK, "user message 2: and now?", "mock/echo", (10, 3, 1)),
            ("bash.log", AgentVerdict.SILENT, None, "mock/tool-bash-30", (None, None, None)),
            ("http401.log", AgentVerdict.ERROR, "the fake model says 401", "mock/http401", (None, None, None)),
            ("http429.log", AgentVerdict.ERROR, "the fake model says 429", "mock/http429", (None, None, None)),
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
            ("http429.log", "the model's server failed 6 times, the last time with: AI_APICallError: the fake"),
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


class TestResultFromTheStore:
    @pytest.mark.parametrize(
        ("native_id", "verdict", "text"),
        [
            (FINISHED, AgentVerdict.OK, "Hello from mock"),
            (FAILED_401, AgentVerdict.ERROR, "mock says 401"),
            (NO_MODEL, AgentVerdict.SILENT, None),
            (KILLED, AgentVerdict.SILENT, "calling tool"),
            (AT_WORK, AgentVerdict.SILENT, None),
        ],
    )
    def test_where_there_is_no_log(
        self, store: Path, native_id: str, verdict: AgentVerdict, text: str | None
    ) -> None:
        found = self.look(store, native_id)
        assert (found.verdict, found.text) == (verdict, text)
        assert found.adapter_version == "1.18.33"

    @pytest.mark.parametrize(
        ("native_id", "text"),
        [
            (NO_MODEL, "no answer was recorded"),
            (REJECTED, "stopped early: the last step ended with 'tool-calls' and none followed"),
        ],
    )
    def test_exit_0_is_no_success_without_an_answer(self, store: Path, native_id: str, text: str) -> None:
        found = self.look(store, native_id, exit_code=0)
        assert (found.verdict, found.text) == (AgentVerdict.ERROR, text)

    def test_totals_are_of_this_run(self, store: Path) -> None:
        found = self.look(store, WITH_TOOL)
        assert (found.model, found.turns) == ("mock/tool-write", 2)
        assert found.tokens == Tokens(input=20, output=6, cache_read=0, cache_write=0)
        resumed = self.look(store, WITH_TOOL, created_at=datetime(2027, 1, 1, tzinfo=UTC))
        assert (resumed.verdict, resumed.text, resumed.turns) == (AgentVerdict.SILENT, None, None)
        assert (resumed.tokens, resumed.cost_usd) == (Tokens(), None)
        assert resumed.model == "mock/tool-write"

    def test_a_log_that_is_no_longer_read_as_a_whole(
        self, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stream = (LOGS / "tools.jsonl").read_text()
        log = tmp_path / "output.log"
        log.write_text(stream)
        monkeypatch.setattr(opencode, "TAIL_BYTES", len(stream) // 2)
        ours = session(native_id=WITH_TOOL, store_path=str(store))
        found = opencode.result(ours, str(log))
        assert (found.verdict, found.text) == (AgentVerdict.OK, "Hello from mock")
        assert (found.tokens.input, found.turns) == (20, 2)
        lost = opencode.result(session(native_id=WITH_TOOL, store_path="/nowhere/opencode.db"), str(log))
        assert (lost.verdict, lost.tokens, lost.turns) == (AgentVerdict.OK, Tokens(), None)

    def test_a_starting_run_is_not_disturbed(self, tmp_path: Path, store: Path) -> None:
        lines = (LOGS / "resumed.log").read_text().splitlines(keepends=True)
        log = tmp_path / "output.log"
        log.write_text("".join(lines[:5]))
        found = opencode.result(session(native_id=FINISHED, store_path=str(store)), str(log))
        assert (found.verdict, found.model) == (AgentVerdict.SILENT, None)

    def test_the_json_tree(self, legacy: Path) -> None:
        found = self.look(legacy, LEGACY)
        assert (found.verdict, found.text, found.model) == (AgentVerdict.OK, "Hello from mock", "mock/mock")
        assert (found.turns, found.tokens.input, found.adapter_version) == (1, 10, "1.1.65")
        assert self.look(legacy, LEGACY_401).text == "mock says 401"

    def test_old_schema(self, tmp_path: Path) -> None:
        path = tmp_path / "opencode.db"
        shutil.copyfile(DATA / "opencode-1.2.27.db", path)
        found = self.look(path, "ses_dfd1f3059ffedRRz5w23qFthle")
        assert (found.verdict, found.model, found.tokens.input) == (AgentVerdict.OK, "mock/mock", 10)

    @staticmethod
    def look(path: Path, native_id: str, **changes: Any) -> Any:
        return opencode.result(session(native_id=native_id, store_path=str(path), **changes), "/nowhere")


class TestMessages:
    def test_conversation_with_a_tool(self, store: Path) -> None:
        assert self.read(store, WITH_TOOL) == [
            ("user", None, "Write hello.txt."),
            ("assistant", None, "calling tool"),
            ("tool", "write", "hello.txt → Wrote file successfully."),
            ("assistant", None, "Hello from mock"),
        ]

    @pytest.mark.parametrize(
        ("native_id", "last"),
        [
            (KILLED, ("tool", "bash", "sleep 30 → running")),
            (FAILED_401, ("error", None, "mock says 401")),
            (AT_WORK, ("user", None, "Take your time.")),
            (REJECTED, ("tool", "write", "/tmp/outside/ext.txt → failed: The user rejected permission to use")),
        ],
    )
    def test_how_it_stands(self, store: Path, native_id: str, last: tuple[str, str | None, str]) -> None:
        role, tool, text = self.read(store, native_id)[-1]
        assert (role, tool) == last[:2]
        assert text.startswith(last[2])

    def test_attached_text_is_not_the_users_own(self, store: Path) -> None:
        part = {"type": "text", "text": "content of a file", "synthetic": True}
        change(
            store,
            """INSERT INTO part SELECT 'prt_zzz', message_id, session_id, 1, 1, ? FROM part
               WHERE session_id = ? ORDER BY id LIMIT 1""",
            (json.dumps(part), FINISHED),
        )
        assert "content of a file" not in str(self.read(store, FINISHED))

    def test_times_are_those_of_the_messages(self, store: Path) -> None:
        first = next(iter(opencode.messages(session(native_id=FINISHED, store_path=str(store)), "/nowhere")))
        assert first.at == datetime(2026, 11, 22, 7, 32, 27, 891000, tzinfo=UTC)

    def test_the_json_tree(self, legacy: Path) -> None:
        assert self.read(legacy, LEGACY) == [
            ("user", None, "\nSay hello."),
            ("assistant", None, "Hello from mock"),
        ]

    @pytest.mark.parametrize("native_id", [None, "ses_nosuch"])
    def test_the_log_where_the_store_has_nothing(self, store: Path, native_id: str | None) -> None:
        ours = session(native_id=native_id, store_path=str(store))
        found = [message.text for message in opencode.messages(ours, str(LOGS / "ok.log"))]
        assert found == ["Hello from the fake model"]

    @staticmethod
    def read(path: Path, native_id: str) -> list[tuple[str, str | None, str]]:
        found = opencode.messages(session(native_id=native_id, store_path=str(path)), "/nowhere")
        return [(message.role, message.tool, message.text) for message in found]


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


class TestDiscover:
    def test_every_session_with_its_state(self, store: Path) -> None:
        found = {native.native_id: native for native in opencode.discover(str(store))}
        assert len(found) == 16
        states = {
            native_id: (found[native_id].is_open, found[native_id].result.verdict)
            for native_id in (FINISHED, FAILED_401, NO_MODEL, REJECTED, KILLED, AT_WORK)
        }
        assert states == {
            FINISHED: (False, AgentVerdict.OK),
            FAILED_401: (False, AgentVerdict.ERROR),
            NO_MODEL: (True, AgentVerdict.SILENT),
            REJECTED: (True, AgentVerdict.SILENT),
            KILLED: (True, AgentVerdict.SILENT),
            AT_WORK: (True, AgentVerdict.SILENT),
        }
        assert [native.native_id for native in found.values() if native.is_child] == [CHILD]

    def test_what_is_known_of_one(self, store: Path) -> None:
        (found,) = (native for native in opencode.discover(str(store)) if native.native_id == WITH_TOOL)
        assert (found.cwd, found.title, found.model) == ("/tmp/proj", "finished with tool", "mock/tool-write")
        assert found.created_at == datetime(2026, 11, 22, 7, 32, 30, 333000, tzinfo=UTC)
        assert found.updated_at > found.created_at
        assert found.tokens == Tokens(input=20, output=6, cache_read=0, cache_write=0)
        assert found.store_path == str(store)

    def test_a_session_nobody_has_spoken_in_is_not_open(self, store: Path) -> None:
        change(store, "DELETE FROM message WHERE session_id = ?", (AT_WORK,))
        (found,) = (native for native in opencode.discover(str(store)) if native.native_id == AT_WORK)
        assert not found.is_open

    def test_the_tree_adds_what_the_database_lacks(self, store: Path, legacy: Path) -> None:
        assert [n.title for n in sorted(opencode.discover(str(legacy)), key=lambda n: n.created_at)] == [
            "legacy finished",
            "legacy failed 401",
            "legacy model not found",
        ]
        shutil.copyfile(store, legacy)
        change(legacy, "UPDATE session SET id = ? WHERE id = ?", (LEGACY, CHILD))
        found = [native.native_id for native in opencode.discover(str(legacy))]
        assert len(found) == len(set(found)) == 18

    def test_old_schema(self, tmp_path: Path) -> None:
        path = tmp_path / "opencode.db"
        shutil.copyfile(DATA / "opencode-1.2.27.db", path)
        found = {native.title: native for native in opencode.discover(str(path))}
        assert found["agentctl one"].model == "mock/mock"
        assert found["agentctl one"].tokens == Tokens()

    def test_unreadable_is_empty(self, tmp_path: Path, legacy: Path) -> None:
        assert list(opencode.discover(str(tmp_path / "none" / "opencode.db"))) == []
        legacy.write_text("no database")
        assert list(opencode.discover(str(legacy))) == []

    def test_damaged_records_are_passed_over(self, store: Path, legacy: Path) -> None:
        change(store, "UPDATE message SET data = '{half' WHERE session_id = ?", (FINISHED,))
        change(store, "UPDATE session SET model = '[]', time_created = 'soon' WHERE id = ?", (WITH_TOOL,))
        change(store, "UPDATE session SET title = CAST(x'ff' AS TEXT) WHERE id = ?", (KILLED,))
        assert len(list(opencode.discover(str(store)))) == 16
        project = next((legacy.parent / "storage" / "session").iterdir())
        (project / "ses_half.json").write_text('{"id": "ses_ha')
        (project / "ses_odd.json").write_text('{"id": 7, "time": []}')
        assert len(list(opencode.discover(str(legacy)))) == 3


STARTED = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)


def native(native_id: str, *, age: float = 2, cwd: str = "/project", title: str = "t") -> NativeSession:
    created = STARTED + timedelta(seconds=age)
    return NativeSession(
        native_id=native_id,
        store_path="/s",
        cwd=cwd,
        title=title,
        created_at=created,
        updated_at=created,
    )


def process(pid: int, words: str, *, cwd: str | None = "/project", later: float = 0) -> Process:
    started = STARTED + timedelta(seconds=later)
    argv = tuple(words.split())
    return Process(pid=pid, argv=argv, started_at=started, start_token=str(pid), cwd=cwd)


class TestMatch:
    @pytest.mark.parametrize(
        ("words", "is_matched"),
        [
            ("opencode run --session ses_a", True),
            ("opencode run --session=ses_a", True),
            ("opencode run -s ses_a", True),
            ("opencode run --session ses_b", False),
            ("opencode run --session ses_a --fork", False),
            ("opencode --session ses_a", False),
            ("opencode run --attach http://localhost:1 --session ses_a", False),
            ("opencode run --title t", True),
            ("opencode run --title=other", False),
            ("opencode run do it", True),
            ("opencode run --dir /elsewhere", False),
            ("opencode run --continue", False),
            ("opencode", False),
            ("opencode serve", False),
            ("opencode run --attach=http://localhost:1", False),
        ],
    )
    def test_by_command_line(self, words: str, is_matched: bool) -> None:
        found = opencode.match([native("ses_a")], [process(1, words)])
        assert {native_id: run.pid for native_id, run in found.items()} == ({"ses_a": 1} if is_matched else {})

    @pytest.mark.parametrize(("age", "is_matched"), [(-0.001, False), (0, True), (12, True), (12.001, False)])
    def test_by_directory_and_time(self, age: float, is_matched: bool) -> None:
        assert bool(opencode.match([native("ses_a", age=age)], [process(1, "opencode run")])) is is_matched

    def test_another_directory_or_none(self) -> None:
        assert not opencode.match([native("ses_a")], [process(1, "opencode run", cwd="/other")])
        assert not opencode.match([native("ses_a")], [process(1, "opencode run", cwd=None)])

    def test_the_directory_as_the_option_names_it(self) -> None:
        run = process(1, "opencode run --dir /project", cwd="/other")
        assert opencode.match([native("ses_a")], [run]) == {"ses_a": run}

    def test_links_lead_to_the_same_directory(self, tmp_path: Path) -> None:
        (tmp_path / "link").symlink_to(tmp_path)
        run = process(1, "opencode run", cwd=str(tmp_path / "link"))
        assert opencode.match([native("ses_a", cwd=str(tmp_path))], [run]) == {"ses_a": run}

    def test_two_that_fit_are_nobodys(self) -> None:
        assert not opencode.match([native("ses_a"), native("ses_b")], [process(1, "opencode run")])
        runs = [process(1, "opencode run"), process(2, "opencode run")]
        assert not opencode.match([native("ses_a")], runs)

    def test_a_proved_one_leaves_the_other_alone(self) -> None:
        runs = [process(1, "opencode run --title t"), process(2, "opencode run")]
        found = opencode.match([native("ses_a"), native("ses_b", title="New session")], runs)
        assert {native_id: run.pid for native_id, run in found.items()} == {"ses_a": 1, "ses_b": 2}

    def test_an_older_session_of_the_same_title_is_not_its_own(self) -> None:
        assert not opencode.match([native("ses_a", age=-3600)], [process(1, "opencode run --title t")])

    def test_of_two_resumes_the_later_one_counts(self) -> None:
        runs = [process(2, "opencode run -s ses_a", later=5), process(1, "opencode run -s ses_a")]
        assert opencode.match([native("ses_a")], runs)["ses_a"].pid == 2


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
