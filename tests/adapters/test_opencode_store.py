"""What opencode's stores say: the database, and the JSON tree of old releases."""

from __future__ import annotations

import json
import shutil
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agentctl.adapters import opencode, reading
from agentctl.adapters.opencode import store as opencode_store
from agentctl.core.model import AgentVerdict, Listing, Tokens
from tests.adapters.opencode_samples import (
    AT_WORK,
    CHILD,
    DATA,
    FAILED_401,
    FINISHED,
    KILLED,
    LEGACY,
    LEGACY_401,
    LOGS,
    NO_MODEL,
    REJECTED,
    WITH_TOOL,
    change,
    copy_legacy,
    copy_store,
    session,
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return copy_store(tmp_path)


@pytest.fixture
def legacy(tmp_path: Path) -> Path:
    return copy_legacy(tmp_path)


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
    def test_unavailable_where_the_file_is_not_what_it_should_be(
        self, tmp_path: Path, content: bytes
    ) -> None:
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

    def test_the_databases_of_other_builds_are_looked_at_too(self, store: Path) -> None:
        other = store.parent / "opencode-dev.db"
        shutil.copyfile(DATA / "opencode-1.18.33.db", other)
        assert self.look(store, "ses_nosuch") is Listing.ABSENT
        change(store, "DELETE FROM session WHERE id = ?", (FINISHED,))
        assert self.look(store, FINISHED) is Listing.RUNNING
        other.write_text("damaged")
        assert self.look(store, FINISHED) is Listing.UNAVAILABLE

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
            (NO_MODEL, "there is no result record"),
            (REJECTED, "stopped early: the last step ended with 'tool-calls' and none followed"),
        ],
    )
    def test_exit_0_is_no_success_without_an_answer(self, store: Path, native_id: str, text: str) -> None:
        found = self.look(store, native_id, exit_code=0)
        assert (found.missing or found.text or "").startswith(text)

    def test_totals_are_of_this_run(self, store: Path) -> None:
        found = self.look(store, WITH_TOOL)
        assert (found.model, found.turns) == ("mock/tool-write", 2)
        assert found.tokens == Tokens(input=20, output=6, cache_read=0, cache_write=0)
        resumed = self.look(store, WITH_TOOL, created_at=datetime(2027, 1, 1, tzinfo=UTC))
        assert (resumed.verdict, resumed.text, resumed.turns) == (AgentVerdict.SILENT, None, None)
        assert (resumed.tokens, resumed.cost_usd) == (Tokens(), None)
        assert resumed.model == "mock/tool-write"

    def test_a_log_that_is_too_long_to_be_read_whole(self, tmp_path: Path, store: Path) -> None:
        stream = (LOGS / "tools.jsonl").read_text()
        half = stream.rindex("\n", 0, len(stream) // 2) + 1
        log = tmp_path / "output.log"
        log.write_text(stream[:half] + "x" * reading.TAIL_BYTES + "\n" + stream[half:])
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
            (KILLED, ("tool", "bash", "sleep 300; echo done → running")),
            (FAILED_401, ("error", None, "mock says 401")),
            (AT_WORK, ("user", None, "Do something slow.")),
            (
                REJECTED,
                ("tool", "write", "/tmp/outside/ext.txt → failed: The user rejected permission to use"),
            ),
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
