"""Sessions of opencode that agentctl did not start, and the processes that run them."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agentctl.adapters import opencode
from agentctl.adapters.base import NativeSession, Process, StoreUnreadable
from agentctl.core.model import AgentVerdict, Tokens
from tests.adapters.opencode_samples import (
    AT_WORK,
    CHILD,
    DATA,
    FAILED_401,
    FINISHED,
    KILLED,
    LEGACY,
    LEGACY_401,
    NO_MODEL,
    REJECTED,
    WITH_TOOL,
    change,
    copy_legacy,
    copy_store,
)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return copy_store(tmp_path)


@pytest.fixture
def legacy(tmp_path: Path) -> Path:
    return copy_legacy(tmp_path)


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

    def test_a_session_nobody_has_spoken_in_may_be_about_to_begin(self, store: Path) -> None:
        change(store, "DELETE FROM message WHERE session_id = ?", (AT_WORK,))
        (found,) = (native for native in opencode.discover(str(store)) if native.native_id == AT_WORK)
        assert found.is_open

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

    def test_a_missing_or_new_database_is_empty(self, tmp_path: Path) -> None:
        assert list(opencode.discover(str(tmp_path / "none" / "opencode.db"))) == []
        new = tmp_path / "opencode.db"
        new.touch()
        assert list(opencode.discover(str(new))) == []

    def test_a_damaged_database_is_reported_with_what_the_old_tree_has(self, legacy: Path) -> None:
        legacy.write_text("no database")
        with pytest.raises(StoreUnreadable, match="file is not a database") as caught:
            opencode.discover(str(legacy))
        assert str(legacy) in caught.value.message and caught.value.hint
        assert {native.native_id for native in caught.value.found} >= {LEGACY, LEGACY_401}

    @pytest.mark.parametrize("fault", ["pipe", "directory"])
    def test_what_is_in_the_place_of_a_database_is_reported(self, tmp_path: Path, fault: str) -> None:
        path = tmp_path / "opencode.db"
        os.mkfifo(path) if fault == "pipe" else path.mkdir()
        with pytest.raises(StoreUnreadable, match="not a regular file"):
            opencode.discover(str(path))

    def test_the_databases_of_other_channels_are_sources(self, store: Path) -> None:
        other = store.parent / "opencode-local.db"
        shutil.copyfile(store, other)
        (store.parent / "opencode-notes.txt").touch()
        assert list(opencode.sources(str(store))) == [str(store), str(other)]
        assert list(opencode.sources(str(other))) == [str(other)]
        (native, *_) = opencode.discover(str(other))
        assert native.store_path == str(other)

    def test_an_archived_session_is_marked(self, store: Path) -> None:
        change(store, "UPDATE session SET time_archived = 1 WHERE id = ?", (FINISHED,))
        notes = {native.native_id: native.result.notes for native in opencode.discover(str(store))}
        assert [native_id for native_id, note in notes.items() if note] == [FINISHED]
        assert notes[FINISHED] == ("archived in opencode",)

    @pytest.mark.parametrize(("finish", "is_open"), [("content-filter", False), ("tool-calls", True)])
    def test_a_last_step_that_is_not_an_answer_is_no_success(
        self, store: Path, finish: str, is_open: bool
    ) -> None:
        sql = "UPDATE message SET data = json_set(data, '$.finish', ?) WHERE session_id = ?"
        change(store, sql, (finish, FINISHED))
        found = next(native for native in opencode.discover(str(store)) if native.native_id == FINISHED)
        assert (found.is_open, found.result.verdict is AgentVerdict.OK) == (is_open, False)

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
        assert {native_id: run.pid for native_id, run in found.items()} == (
            {"ses_a": 1} if is_matched else {}
        )

    @pytest.mark.parametrize(("age", "is_matched"), [(-0.001, False), (0, True), (30, True), (30.001, False)])
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
