"""Threads of codex that agentctl did not start, and the processes that write them."""

from __future__ import annotations

import json
import os
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentctl.adapters import codex
from agentctl.adapters.base import NativeSession, Process
from agentctl.core.model import AgentVerdict, Tokens
from tests.adapters.codex_samples import THREADS, append, log_of, put, session

NOW = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)


def found(store: Path, *names: str) -> dict[str, NativeSession]:
    """What a store that has these samples is said to hold, by sample."""
    for name in names:
        put(store, name)
    natives = {n.native_id: n for source in codex.sources(str(store)) for n in codex.discover(source)}
    assert len(natives) == len(names)
    return {name: natives[THREADS[name]] for name in names}


class TestDiscover:
    @pytest.mark.parametrize(
        ("name", "is_open", "verdict"),
        [
            ("finished", False, AgentVerdict.OK),
            ("resumed", False, AgentVerdict.OK),
            ("tool-call", False, AgentVerdict.OK),
            ("failed-401", False, AgentVerdict.ERROR),
            ("interrupted", False, AgentVerdict.ERROR),
            ("killed", True, AgentVerdict.SILENT),
            ("midrun", True, AgentVerdict.SILENT),
            ("midrun-tool", True, AgentVerdict.SILENT),
        ],
    )
    def test_the_state_of_the_last_turn(
        self, tmp_path: Path, name: str, is_open: bool, verdict: AgentVerdict
    ) -> None:
        native = found(tmp_path, name)[name]
        assert (native.is_open, native.result.verdict, native.is_child) == (is_open, verdict, False)

    def test_what_is_known_of_one(self, tmp_path: Path) -> None:
        native = found(tmp_path, "resumed")["resumed"]
        assert (native.cwd, native.title, native.model) == ("/home/dev/project", "Say hello", "gpt-5.5")
        assert native.created_at == datetime(2026, 11, 22, 6, 31, 10, 261000, tzinfo=UTC)
        assert native.updated_at > datetime(2026, 11, 22, 6, 31, 25, tzinfo=UTC)
        assert native.tokens == Tokens(input=2468, output=112, cache_read=2000, cache_write=0)
        assert native.store_path == str(tmp_path)
        assert native.result.transcript_path == str(next(iter(codex.sources(str(tmp_path)))))
        assert native.result.adapter_version == "0.169.0"

    def test_a_thread_that_another_one_started_is_its_child(self, tmp_path: Path) -> None:
        assert found(tmp_path, "review-child")["review-child"].is_child

    def test_a_launch_is_known_by_its_tag(self, tmp_path: Path) -> None:
        assert found(tmp_path, "refused")["refused"].title == "Say hi"
        path = put(tmp_path, "refused")
        first, *rest = path.read_text().splitlines(keepends=True)
        record = json.loads(first)
        record["payload"]["thread_source"] = "agentctl 0f9a1b2c-0000-4000-8000-000000000000"
        path.write_text(json.dumps(record) + "\n" + "".join(rest))
        (native,) = codex.discover(str(path))
        assert native.title == "agentctl 0f9a1b2c-0000-4000-8000-000000000000"

    def test_an_archived_thread_was_put_away(self, tmp_path: Path) -> None:
        path = put(tmp_path, "finished", directory="archived_sessions")
        assert list(codex.sources(str(tmp_path))) == []
        (native,) = codex.discover(str(path))
        assert native.store_path == str(tmp_path)

    def test_a_next_turn_opens_it_again(self, tmp_path: Path) -> None:
        path = put(tmp_path, "finished")
        append(path, "event_msg", {"type": "task_started", "turn_id": "next"})
        (native,) = codex.discover(str(path))
        assert native.is_open
        assert native.updated_at == datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
        path.write_text(path.read_text() + '{"timestamp":"2026-11-22T15:00:00.000Z","ordinal":')
        assert [one.is_open for one in codex.discover(str(path))] == [True], "half a record is none"

    def test_a_long_file_is_read_from_both_ends(self, tmp_path: Path) -> None:
        path = put(tmp_path, "interrupted")
        lines = path.read_text().splitlines(keepends=True)
        filler = json.dumps({"type": "response_item", "payload": {"text": "x" * 1000}}) + "\n"
        path.write_text("".join(lines[:9]) + filler * 1000 + "".join(lines[9:]))
        (native,) = codex.discover(str(path))
        assert (native.title, native.is_open, native.model) == ("Interrupt me", False, "gpt-5.5")

    @pytest.mark.parametrize("name", ["rollout.jsonl", "rollout-2026.jsonl", "notes.txt", ".jsonl"])
    def test_other_files_are_passed_over(self, tmp_path: Path, name: str) -> None:
        path = put(tmp_path, "finished")
        other = path.rename(path.with_name(name))
        assert list(codex.sources(str(tmp_path))) == []
        assert list(codex.discover(str(other))) == []

    def test_a_file_with_a_damaged_first_record_is_told_by_its_name(self, tmp_path: Path) -> None:
        path = put(tmp_path, "finished")
        first, *others = path.read_text().splitlines(keepends=True)
        path.write_text(first[:200] + "\n" + "".join(others))
        (native,) = codex.discover(str(path))
        assert native.native_id == THREADS["finished"]
        assert native.created_at == datetime(2026, 11, 22, 6, 31, 10, 251000, tzinfo=UTC)
        assert (native.cwd, native.is_open) == ("/home/dev/project", False)

    def test_a_file_without_records_is_passed_over(self, tmp_path: Path) -> None:
        path = put(tmp_path, "finished")
        path.write_text("")
        assert list(codex.discover(str(path))) == []

    def test_a_thread_in_which_nothing_was_asked_has_no_unfinished_turn(self, tmp_path: Path) -> None:
        path = put(tmp_path, "finished")
        path.write_text(path.read_text().splitlines(keepends=True)[0])
        (native,) = codex.discover(str(path))
        assert (native.is_open, native.is_unasked) == (False, True)


class TestMatch:
    @pytest.fixture
    def native(self, tmp_path: Path) -> NativeSession:
        return found(tmp_path, "midrun")["midrun"]

    @pytest.fixture
    def lock(self, tmp_path: Path) -> tuple[int, int]:
        path = tmp_path / "thread-writer-locks" / f"{THREADS['midrun']}.lock"
        path.parent.mkdir()
        path.touch()
        return path.stat().st_dev, path.stat().st_ino

    def process(self, *locked: tuple[int, int], argv: tuple[str, ...] = ("codex", "exec", "x")) -> Process:
        return Process(
            pid=os.getpid(),
            argv=argv,
            started_at=NOW,
            start_token="1:2:3:4",
            cwd="/home/dev/project",
            locked=frozenset(locked),
        )

    def test_who_holds_the_lock_writes_the_thread(self, native: NativeSession, lock: tuple[int, int]) -> None:
        other, writer = self.process((lock[0], lock[1] + 1)), self.process((1, 1), lock)
        assert dict(codex.match([native], [other, writer])) == {native.native_id: writer}

    def test_the_same_inode_of_another_device_is_another_file(
        self, native: NativeSession, lock: tuple[int, int]
    ) -> None:
        assert dict(codex.match([native], [self.process((lock[0] + 1, lock[1]))])) == {}

    def test_without_a_lock_nothing_is_proved(self, native: NativeSession, lock: tuple[int, int]) -> None:
        assert dict(codex.match([native], [self.process()])) == {}

    def test_a_lock_file_that_is_gone_proves_nothing(self, native: NativeSession) -> None:
        assert dict(codex.match([native], [self.process((1, 1))])) == {}

    @pytest.mark.parametrize(
        "words",
        [
            ("app-server", "--listen", "unix://", "--managed-daemon"),
            ("-c", "a=b", "app-server"),
            ("mcp-server",),
        ],
    )
    def test_a_server_is_no_sessions_own_process(
        self, native: NativeSession, lock: tuple[int, int], words: tuple[str, ...]
    ) -> None:
        server = self.process(lock, argv=("codex", *words))
        (matched,) = codex.match([native], [server]).values()
        assert matched == server._replace(is_shared=True)

    def test_a_prompt_may_speak_of_a_server(self, native: NativeSession, lock: tuple[int, int]) -> None:
        writer = self.process(lock, argv=("codex", "exec", "--", "app-server"))
        assert dict(codex.match([native], [writer])) == {native.native_id: writer}


def test_records_with_wrong_values_are_read_without_raising(tmp_path: Path) -> None:
    """The right keys, and anything as their values: a file may be damaged, or of another release."""
    dice = random.Random(5)
    names = ["payload", "turn_id", "item", "content", "text", "error", "message", "started_at", "model"]
    names += ["output", "call_id", "arguments", "command", "changes", "source", "usage", "turn_token_usage"]
    kinds = ["session_meta", "turn_context", "token_usage_record", "task_started", "task_complete"]
    kinds += ["turn_aborted", "UserMessage", "function_call", "function_call_output", "item_completed"]
    kinds += ["CommandExecution", "FileChange", "AgentMessage", "event_msg", "response_item"]

    def value(depth: int) -> object:
        plain: list[object] = [None, True, -1, 1e300, "", "x", [], {}, [None], [{"text": 1}]]
        return dice.choice(plain) if depth > 2 or dice.random() < 0.4 else record(depth + 1)

    def record(depth: int) -> dict[str, object]:
        chosen = {name: value(depth) for name in dice.sample(names, 3)}
        return {"type": dice.choice([*kinds, 1]), "timestamp": dice.choice(["", "2026", 1]), **chosen}

    path = put(tmp_path, "tool-call")
    path.write_text(path.read_text() + "".join(json.dumps(record(0)) + "\n" for _ in range(500)))
    (native,) = codex.discover(str(path))
    row = session(store_path=str(tmp_path), native_id=native.native_id)
    assert codex.result(row, log_of("tool-call")).verdict is AgentVerdict.OK
    assert "Hello from the mock model. Done." in [one.text for one in codex.messages(row, "")]
