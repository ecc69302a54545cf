"""Sessions of pi that agentctl did not start, and the processes proved to run them."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agentctl.adapters import pi
from agentctl.adapters.base import NativeSession
from agentctl.adapters.pi import files
from agentctl.adapters.pi import rust as pi_rust
from agentctl.core.model import AgentVerdict, Tokens
from tests.adapters.pi_samples import DATA, PROJECT, answer, header, keep, process, shortly_before, write

RUST = DATA.parent / "pi-rust" / "sessions"


def discovered(path: Path) -> NativeSession:
    (native,) = pi.discover(str(path))
    return native


class TestSources:
    def test_files_of_every_project_and_flat_ones(self, tmp_path: Path) -> None:
        expected = [keep(tmp_path, "0.73.1", "ok"), keep(tmp_path, "1.5.2", "ok", flat=True)]
        (tmp_path / "session-index.sqlite").touch()
        (tmp_path / "no-project").mkdir()
        (tmp_path / "no-project" / "x.jsonl").touch()
        (expected[0].parent / "notes.txt").touch()
        assert sorted(pi.sources(str(tmp_path))) == sorted(map(str, expected))

    def test_in_a_shared_tree_each_program_has_its_own(self, tmp_path: Path) -> None:
        keep(tmp_path, "0.73.1", "ok")
        (rust,) = RUST.iterdir()
        path = tmp_path / "--home-dev-project--" / rust.name
        path.write_bytes(rust.read_bytes())
        # An id of eight characters that a user gave to the TypeScript pi.
        write(
            path.with_name("2026-01-01T00-00-00-000Z_mine1234.jsonl"),
            {**header("1.5.2", "ok"), "id": "mine1234"},
        )
        found = {
            adapter.NAME: sorted(
                native.native_id
                for source in adapter.sources(str(tmp_path))
                for native in adapter.discover(source)
            )
            for adapter in (pi, pi_rust)
        }
        assert found == {
            "pi": [header("0.73.1", "ok")["id"], "mine1234"],
            "pi-rust": ["5c9a2f10-3b1d-4e7c-9a53-0d5f1b6e8a77"],
        }


class TestOfTheYear2025:
    """The TypeScript pi then named its model in the header, as only the Rust port does today."""

    def test_it_is_told_from_the_rust_port_by_its_name(self, tmp_path: Path) -> None:
        named = {**header("0.73.1", "ok"), "provider": "anthropic", "modelId": "claude-x"}
        write(tmp_path / f"2025-11-01T00-00-00-000Z_{named['id']}.jsonl", named, answer())
        (source,) = pi.sources(str(tmp_path))
        assert discovered(Path(source)).native_id == named["id"]
        assert [found for each in pi_rust.sources(str(tmp_path)) for found in pi_rust.discover(each)] == []


class TestDiscover:
    def test_a_finished_session(self, tmp_path: Path) -> None:
        path = keep(tmp_path, "0.73.1", "resume")
        native = discovered(path)
        told = header("0.73.1", "resume")
        assert (native.native_id, native.cwd, native.title) == (told["id"], PROJECT, "Say hello")
        assert native.created_at == datetime(2026, 11, 22, 6, 41, 49, 85000, tzinfo=UTC)
        assert native.updated_at > native.created_at
        assert (native.store_path, native.model) == (str(path), "mock/ok")
        assert (native.is_open, native.is_child, native.result.verdict) == (False, False, AgentVerdict.OK)
        assert native.result.tokens == Tokens(input=160, output=14, cache_read=40, cache_write=0)
        assert native.result.turns == 2

    @pytest.mark.parametrize("version", ["0.73.1", "1.5.2"])
    def test_a_failed_session(self, tmp_path: Path, version: str) -> None:
        native = discovered(keep(tmp_path, version, "err401"))
        assert (native.is_open, native.result.verdict) == (False, AgentVerdict.ERROR)
        assert native.result.text is not None and native.result.text.startswith("401")

    @pytest.mark.parametrize("version", ["0.73.1", "1.5.2"])
    @pytest.mark.parametrize("name", ["sigkill_in_tool", "sigterm_in_tool"])
    def test_a_session_that_was_cut_short_is_open(self, tmp_path: Path, version: str, name: str) -> None:
        native = discovered(keep(tmp_path, version, name))
        assert (native.is_open, native.result.verdict) == (True, AgentVerdict.SILENT)

    def test_a_session_that_waits_for_its_first_answer(self, tmp_path: Path) -> None:
        native = discovered(keep(tmp_path, "1.5.2", "sigterm_waiting"))
        assert native.title == "Say hello"
        assert native.is_open

    def test_of_a_long_file_head_and_end_are_read_and_no_sum_is_guessed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(files, "TAIL_BYTES", 2000)
        monkeypatch.setattr(files, "HEAD_BYTES", 2000)
        at = "2026-11-22T07:00:00.000Z"
        prompt = {"role": "user", "content": "Begin"}
        path = write(
            tmp_path / "x.jsonl",
            header("0.73.1", "ok"),
            {"type": "message", "timestamp": at, "message": prompt},
            {"type": "message", "timestamp": at, "message": answer(content="x" * 9000)},
            {"type": "message", "timestamp": at, "message": answer(content="The end")},
        )
        native = discovered(path)
        assert (native.title, native.result.text, native.model) == ("Begin", "The end", "mock/ok")
        assert (native.result.tokens, native.result.cost_usd, native.result.turns) == (Tokens(), None, None)
        assert native.updated_at == datetime(2026, 11, 22, 7, tzinfo=UTC)

    @pytest.mark.parametrize(
        "record",
        [
            {"type": "message"},
            {"type": "session", "id": 7, "timestamp": "2026-11-22T07:00:00Z"},
            {"type": "session", "id": "x", "timestamp": "yesterday"},
            {"type": "session", "id": "x", "timestamp": "2026-11-22T07:00:00"},
        ],
    )
    def test_a_file_without_a_header_is_none(self, tmp_path: Path, record: dict[str, object]) -> None:
        assert list(pi.discover(str(write(tmp_path / "x.jsonl", record)))) == []


class TestMatch:
    @pytest.fixture
    def native(self, tmp_path: Path) -> NativeSession:
        return discovered(keep(tmp_path, "0.73.1", "sigkill_in_tool"))

    def test_the_process_that_began_there_just_before(self, native: NativeSession) -> None:
        run = process(shortly_before(native.created_at))
        assert pi.match([native], [run]) == {native.native_id: run}

    @pytest.mark.parametrize(
        ("age", "cwd"),
        [(timedelta(seconds=-1), PROJECT), (timedelta(minutes=1), PROJECT), (timedelta(seconds=1), "/other")],
        ids=["began later", "began long before", "elsewhere"],
    )
    def test_others_are_not_its_own(self, native: NativeSession, age: timedelta, cwd: str) -> None:
        assert pi.match([native], [process(native.created_at - age, cwd=cwd)]) == {}

    def test_two_that_could_be_are_neither(self, native: NativeSession, tmp_path: Path) -> None:
        begun = shortly_before(native.created_at)
        assert pi.match([native], [process(begun), process(begun, pid=2)]) == {}

    def test_one_that_could_be_of_two_is_neither(self, native: NativeSession, tmp_path: Path) -> None:
        told = header("0.73.1", "sigkill_in_tool")
        other = discovered(write(tmp_path / "other.jsonl", {**told, "id": "another"}))
        assert pi.match([native, other], [process(shortly_before(native.created_at))]) == {}

    def test_a_link_to_the_directory_is_the_directory(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        os.symlink(tmp_path / "real", tmp_path / "link")
        told = {**header("0.73.1", "ok"), "cwd": str(tmp_path / "real")}
        native = discovered(write(tmp_path / "x.jsonl", told))
        run = process(shortly_before(native.created_at), cwd=str(tmp_path / "link"))
        assert pi.match([native], [run]) == {native.native_id: run}
