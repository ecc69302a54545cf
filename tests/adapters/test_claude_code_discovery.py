"""Conversations found in claude's own store, and the processes proved to run them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agentctl.adapters import claude_code
from agentctl.adapters.base import NativeSession, Process
from agentctl.core.model import AgentVerdict, Tokens
from tests.adapters.test_claude_code import COST, DATA, ONE, TWO, native_of

ID = "0f9a1b2c-0000-4000-8000-00000000000a"
AT = "2026-11-22T06:56:42.286Z"


def place(tmp_path: Path, name: str, *, project: str = "-home-user-demo") -> Path:
    """A sample where claude would have put it."""
    path = tmp_path / ".claude" / "projects" / project / f"{native_of(name)}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(DATA / "transcripts" / name, path)
    return path


def written(tmp_path: Path, records: Iterable[dict[str, Any]], *, native_id: str = ID) -> Path:
    """A transcript of these lines."""
    path = tmp_path / ".claude" / "projects" / "-srv" / f"{native_id}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def user(content: object, **more: object) -> dict[str, Any]:
    message = {"role": "user", "content": content}
    return {"type": "user", "message": message, "timestamp": AT, "cwd": "/srv", "sessionId": ID, **more}


def assistant(text: str, reason: str | None = "end_turn", **more: object) -> dict[str, Any]:
    content = [{"type": "text", "text": text}]
    message = {"id": "msg_1", "model": "opus", "stop_reason": reason, "content": content}
    return {"type": "assistant", "message": message, "timestamp": AT, "sessionId": ID, **more}


def one(path: Path) -> NativeSession:
    (found,) = claude_code.discover(str(path))
    return found


@pytest.mark.parametrize(
    ("name", "verdict", "tokens", "cost"),
    [
        ("2.1.330-finished.jsonl", AgentVerdict.OK, ONE, COST),
        ("2.1.330-resumed.jsonl", AgentVerdict.OK, TWO, 2 * COST),
        ("2.1.330-failed-500.jsonl", AgentVerdict.ERROR, Tokens(0, 0, 0, 0), 0),
        ("2.1.330-sigint-waiting-api.jsonl", AgentVerdict.ERROR, None, 0.005466),
        ("2.1.330-midrun-waiting-api.jsonl", AgentVerdict.SILENT, Tokens(), None),
        ("2.1.330-midrun-in-tool.jsonl", AgentVerdict.SILENT, Tokens(), None),
        ("2.1.330-sigkill-in-tool.jsonl", AgentVerdict.SILENT, Tokens(), None),
        ("2.1.330-sigterm-in-tool.jsonl", AgentVerdict.SILENT, ONE, COST),
        ("2.1.197-finished.jsonl", AgentVerdict.OK, Tokens(), None),
    ],
)
def test_a_transcript_tells_how_its_last_turn_stands(
    tmp_path: Path, name: str, verdict: AgentVerdict, tokens: Tokens | None, cost: float | None
) -> None:
    found = one(place(tmp_path, name))
    assert (found.result.verdict, found.is_open) == (verdict, verdict is AgentVerdict.SILENT)
    assert tokens is None or found.tokens == tokens
    assert found.result.cost_usd == (None if cost is None else pytest.approx(cost))
    assert (found.native_id, found.cwd, found.is_child) == (native_of(name), "/home/user/demo", False)


def test_a_transcript_tells_who_asked_what_when_and_where(tmp_path: Path) -> None:
    path = place(tmp_path, "2.1.330-resumed.jsonl")
    found = one(path)
    assert (found.title, found.model) == ("say hello", "claude-opus-5-5")
    assert found.store_path == str(tmp_path / ".claude" / "projects")
    assert (found.result.transcript_path, found.result.adapter_version) == (str(path), "2.1.330")
    assert found.created_at == datetime(2026, 11, 22, 6, 56, 42, 286000, UTC)
    assert found.updated_at == datetime(2026, 11, 22, 6, 56, 52, 852000, UTC)


def test_sources_are_transcripts_and_nothing_else(tmp_path: Path) -> None:
    here = place(tmp_path, "2.1.330-finished.jsonl")
    there = place(tmp_path, "2.1.330-tool-call.jsonl", project="-srv")
    subagents = here.with_suffix("") / "subagents"
    subagents.mkdir(parents=True)
    shutil.copy(here, subagents / "agent-0a1b.jsonl")
    shutil.copy(here, here.parent / "agent-0a1b.jsonl")
    (here.parent / "notes.jsonl").write_text("{}\n")
    (here.parent / "memory").mkdir()
    (here.parents[1] / "stray.jsonl").write_text("{}\n")
    assert set(claude_code.sources(str(here.parents[1]))) == {str(here), str(there)}


def test_a_huge_transcript_is_read_at_its_ends_alone(tmp_path: Path) -> None:
    """With a hole of 64 GB between them: whoever reads it all is still at it tomorrow."""
    path = written(tmp_path, [user("the first prompt")])
    with path.open("r+b") as file:
        file.seek(64 << 30)
        file.write(b"\n" + json.dumps(assistant("done")).encode() + b"\n")
    found = one(path)
    assert (found.title, found.result.text, found.is_open) == ("the first prompt", "done", False)


@pytest.mark.parametrize("size", [100_000, 2_000_000])
def test_the_last_turn_is_found_behind_long_lines(tmp_path: Path, size: int) -> None:
    attachment = {"type": "attachment", "timestamp": AT, "sessionId": ID, "attachment": "x" * size}
    found = one(written(tmp_path, [user("say hello"), assistant("done"), attachment]))
    assert (found.result.verdict, found.model) == (AgentVerdict.OK, "opus")


def test_a_long_prompt_gives_a_short_title(tmp_path: Path) -> None:
    found = one(written(tmp_path, [user("\n  first line\n" + "x" * 100_000), assistant("done")]))
    assert found.title is not None and found.title.startswith("first line\nxxx")
    assert len(found.title) == 2000
    longer = one(written(tmp_path, [user("x" * 600_000), assistant("done")]))
    assert (longer.title, longer.result.text) == (None, "done")


def test_a_torn_last_line_is_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, [user("say hello"), assistant("done")])
    with path.open("ab") as file:
        file.write(b'{"type":"user","message":{"role":"us\xff')
    assert one(path).result.text == "done"


@pytest.mark.parametrize(
    "content",
    ["", "\n\n", "{", "[1]\nnull\n", "\x00" * 1000, '{"type":"user","message":5,"sessionId":"x"}\n'],
)
def test_broken_files_are_passed_over(tmp_path: Path, content: str) -> None:
    path = written(tmp_path, [])
    path.write_text(content)
    assert list(claude_code.discover(str(path))) == []


def test_foreign_files_are_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, [user("say hello"), assistant("done")], native_id=ID[:-1] + "b")
    assert list(claude_code.discover(str(path))) == [], "its lines name another conversation"
    renamed = path.rename(path.with_name("copy.jsonl"))
    assert list(claude_code.discover(str(renamed))) == []


def test_a_conversation_in_which_nobody_has_asked_is_none(tmp_path: Path) -> None:
    started = {"type": "system", "subtype": "x", "timestamp": AT, "cwd": "/srv", "sessionId": ID}
    assert list(claude_code.discover(str(written(tmp_path, [started])))) == []


def test_what_the_program_writes_for_itself_is_no_turn(tmp_path: Path) -> None:
    """As an interactive session leaves it: a command at either end, a summary, a subagent's line."""
    own = [
        user("<command-name>/model</command-name>"),
        user("<local-command-stdout>Set model</local-command-stdout>"),
        user("Caveat: the messages below", isMeta=True),
    ]
    later = [
        user("This session is being continued", isCompactSummary=True),
        assistant("of a subagent", "tool_use", isSidechain=True),
    ]
    found = one(written(tmp_path, [*own, user("fix it"), assistant("fixed"), *own, *later]))
    assert (found.title, found.result.text, found.is_open) == ("fix it", "fixed", False)


def test_an_unfinished_turn_stays_unfinished_behind_the_programs_filler(tmp_path: Path) -> None:
    filler = assistant("No response requested.", "stop_sequence")
    filler["message"]["model"] = "<synthetic>"
    found = one(written(tmp_path, [user([{"type": "text", "text": "say "}, {"text": "hello"}]), filler]))
    assert (found.title, found.is_open, found.model) == ("say hello", True, None)


@pytest.mark.parametrize(("reason", "is_open"), [("tool_use", True), (None, False), ("max_tokens", False)])
def test_the_reason_of_a_stop_tells_whether_more_follows(
    tmp_path: Path, reason: str | None, is_open: bool
) -> None:
    assert one(written(tmp_path, [user("say hello"), assistant("so", reason)])).is_open is is_open


def test_words_without_a_reason_are_no_end_where_other_lines_give_one(tmp_path: Path) -> None:
    earlier = [user("say hello"), assistant("hello"), user("and now?")]
    assert one(written(tmp_path, [*earlier, assistant("so", None)])).is_open


def test_a_call_of_a_tool_is_no_end_where_no_line_gives_a_reason(tmp_path: Path) -> None:
    calling = assistant("I look", None)
    calling["message"]["content"].append({"type": "tool_use", "id": "t", "name": "Read", "input": {}})
    assert one(written(tmp_path, [user("say hello"), assistant("so", None), calling])).is_open


def test_a_refusal_is_a_failure(tmp_path: Path) -> None:
    found = one(written(tmp_path, [user("say hello"), assistant("no", "refusal")]))
    assert (found.is_open, found.result.verdict) == (False, AgentVerdict.ERROR)


@pytest.mark.parametrize(
    "content",
    [
        "<ide_selection>lines 1-2\nof a.py</ide_selection>\nfix it",
        "<ide_opened_file>a.py</ide_opened_file><system-reminder>be brief</system-reminder>fix it",
        [
            {"type": "text", "text": "<ide_opened_file>a.py</ide_opened_file>"},
            {"type": "text", "text": "fix it"},
        ],
        "\ufefffix it",
    ],
)
def test_the_prompt_is_what_the_person_wrote(tmp_path: Path, content: object) -> None:
    only_wrapped = user("<ide_opened_file>the user opened a.py</ide_opened_file>")
    assert one(written(tmp_path, [only_wrapped, user(content), assistant("done")])).title == "fix it"


def test_a_byte_order_mark_hides_no_line(tmp_path: Path) -> None:
    path = written(tmp_path, [user("say hello"), assistant("hello")])
    path.write_text("\ufeff" + path.read_text())
    assert one(path).title == "say hello"


def test_the_directory_is_that_of_the_beginning(tmp_path: Path) -> None:
    found = one(written(tmp_path, [user("go"), assistant("gone", cwd="/srv/below")]))
    assert found.cwd == "/srv", "claude finds a conversation by where it began"


# Which process runs which conversation.

MACHINE = "0123456789abcdef0123456789abcdef"
RUNNING = "2.1.330-midrun-in-tool"


def process(
    pid: int = 21003, *, ticks: str = "407887", namespace: str = "4026531836", age: int = 0
) -> Process:
    """By default the one of the sample."""
    return Process(
        pid=pid,
        argv=("claude", "-p"),
        started_at=datetime(2026, 11, 22, 6, 56, 50 + age, tzinfo=UTC),
        start_token=f"{ticks}:boot:{MACHINE}:{namespace}",
        cwd="/home/user/demo",
    )


def registered(tmp_path: Path, *, pid: int = 21003, **changes: str | int | None) -> NativeSession:
    """The sample's conversation, with its entry in the registry."""
    native = one(place(tmp_path, f"{RUNNING}.jsonl"))
    entry = json.loads((DATA / "registry" / f"{RUNNING}.registry.json").read_text())
    path = tmp_path / ".claude" / "sessions" / f"{pid}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**entry, "pid": pid, **changes}))
    return native


def proved(native: NativeSession, *running: Process) -> dict[str, int]:
    return {found: one.pid for found, one in claude_code.match([native], running).items()}


def test_the_registry_proves_a_process(tmp_path: Path) -> None:
    native = registered(tmp_path)
    assert proved(native, process(7), process()) == {native.native_id: 21003}


def test_an_entry_of_an_older_release_names_no_machine(tmp_path: Path) -> None:
    name = "2.1.197-midrun-waiting-api"
    native = one(place(tmp_path, f"{name}.jsonl"))
    (tmp_path / ".claude" / "sessions").mkdir()
    shutil.copy(DATA / "registry" / f"{name}.registry.json", tmp_path / ".claude" / "sessions" / "21986.json")
    assert proved(native, process(21986, ticks="410385")) == {native.native_id: 21986}


@pytest.mark.parametrize(
    ("status", "waiting_for", "is_busy", "waits_for"),
    [
        ("busy", None, True, None),
        ("idle", None, False, None),
        ("waiting", "permission prompt", None, "permission prompt"),
        ("waiting", None, None, "an answer"),
        (None, None, None, None),
        ("of a later release", None, None, None),
    ],
)
def test_the_registry_says_what_the_process_does(
    tmp_path: Path, status: str | None, waiting_for: str | None, is_busy: bool | None, waits_for: str | None
) -> None:
    native = registered(tmp_path, status=status, waitingFor=waiting_for)
    (found,) = claude_code.match([native], [process()]).values()
    assert (found.is_busy, found.waits_for) == (is_busy, waits_for)


def test_a_container_without_a_machine_id_has_processes_too(tmp_path: Path) -> None:
    native = registered(tmp_path, pidDomain="linux::pid:[4026531836]")
    assert proved(native, process()) == {native.native_id: 21003}


@pytest.mark.parametrize(
    "changes",
    [
        {"procStart": "407886"},
        {"procStart": None},
        {"procStart": 407887},
        {"sessionId": ID},
        {"sessionId": None},
        {"pidDomain": "linux:another-machine:pid:[4026531836]"},
        {"pidDomain": f"linux:{MACHINE}:pid:[4026531999]"},
        {"pidDomain": "linux::pid:[4026531999]"},
    ],
    ids=str,
)
def test_a_stale_or_foreign_entry_proves_nothing(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert proved(registered(tmp_path, **changes), process()) == {}


def test_an_entry_speaks_of_its_own_pid_alone(tmp_path: Path) -> None:
    native = registered(tmp_path)
    sessions = tmp_path / ".claude" / "sessions"
    (sessions / "21003.json").rename(sessions / "21004.json")
    assert proved(native, process(), process(21004)) == {}


@pytest.mark.parametrize("content", ["", "{", '{"pid": 21003', "[]", "\x00\xff" * 20_000])
def test_a_broken_entry_proves_nothing(tmp_path: Path, content: str) -> None:
    native = registered(tmp_path)
    (tmp_path / ".claude" / "sessions" / "21003.json").write_text(content)
    assert proved(native, process()) == {}


def test_of_two_processes_in_one_conversation_the_newer_one_counts(tmp_path: Path) -> None:
    registered(tmp_path, pid=21004, procStart="407999")
    native = registered(tmp_path)
    assert proved(native, process(21004, ticks="407999", age=5), process()) == {native.native_id: 21004}


def test_an_entry_of_another_home_proves_nothing(tmp_path: Path) -> None:
    registered(tmp_path / "other")
    native = one(place(tmp_path, f"{RUNNING}.jsonl"))
    assert proved(native, process()) == {}


def test_a_background_session_is_not_given_out_to_be_stopped(tmp_path: Path) -> None:
    """claude's daemon starts it anew: its process is named, and marked as one that is never signalled."""
    native = registered(tmp_path, kind="bg")
    for one in (process(), process()._replace(cwd="/tmp/cc-daemon-0")):
        assert claude_code.match([native], [one])[native.native_id].is_shared
    own = registered(tmp_path)
    assert not claude_code.match([own], [process()])[own.native_id].is_shared
