"""A program is found as a shell would find it, from the agent's directory and environment."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from agentctl.host.programs import find_program, obstacle


def program(path: Path, mode: int = 0o700) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return str(path)


def test_the_first_of_the_path_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    found = program(first / "tool")
    program(second / "tool")
    assert find_program("tool", "/", {"PATH": f"{tmp_path / 'none'}:{first}:{second}"}) == found


def test_what_cannot_be_run_is_passed_over(tmp_path: Path) -> None:
    program(tmp_path / "a" / "tool", 0o600)
    (tmp_path / "b" / "tool").mkdir(parents=True)
    found = program(tmp_path / "c" / "tool")
    assert find_program("tool", "/", {"PATH": ":".join(str(tmp_path / name) for name in "abc")}) == found


def test_a_name_with_a_slash_is_taken_from_the_agents_directory(tmp_path: Path) -> None:
    found = program(tmp_path / "bin" / "tool")
    assert find_program("bin/tool", str(tmp_path), {"PATH": ""}) == found
    assert find_program("./bin/tool", str(tmp_path), {}) == f"{tmp_path}/./bin/tool"
    assert find_program(found, "/", {}) == found
    assert find_program("bin/tool", "/", {"PATH": str(tmp_path)}) is None


def test_relative_and_empty_parts_of_the_path_mean_the_agents_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    found = program(tmp_path / "bin" / "tool")
    assert find_program("tool", str(tmp_path), {"PATH": "bin"}) == found
    here = program(tmp_path / "here")
    assert find_program("here", str(tmp_path), {"PATH": ":/nonexistent"}) == here


@pytest.mark.parametrize("name", ["", "no-such-program", "/no/such/program", "./none"])
def test_nothing_is_none(name: str, tmp_path: Path) -> None:
    assert find_program(name, str(tmp_path), {"PATH": os.environ["PATH"]}) is None


def test_without_a_path_the_systems_own_is_searched() -> None:
    found = find_program("sh", "/", {})
    assert found is not None
    assert shutil.which("sh", path=os.defpath) == found


def test_a_link_is_not_resolved(tmp_path: Path) -> None:
    """A program may look at the name it was called by."""
    link = tmp_path / "link"
    link.symlink_to(program(tmp_path / "real"))
    assert find_program("link", "/", {"PATH": str(tmp_path)}) == str(link)


def test_why_nothing_was_found(tmp_path: Path) -> None:
    shut = program(tmp_path / "bin" / "shut", 0o600)
    (tmp_path / "bin" / "broken").symlink_to("nowhere")
    (tmp_path / "bin" / "directory").mkdir()
    os.mkfifo(tmp_path / "bin" / "fifo")
    path = {"PATH": f"/nonexistent:{tmp_path / 'bin'}"}
    for name in ("shut", shut):
        assert obstacle(name, "/", path) == f"{shut} is not executable"
    assert obstacle("bin/shut", str(tmp_path), {}) == f"{shut} is not executable"
    assert obstacle("broken", "/", path) == f"{tmp_path}/bin/broken is a dangling link"
    assert obstacle("fifo", "/", path) == f"{tmp_path}/bin/fifo is not a regular file"
    assert obstacle(str(tmp_path), "/", path) == f"{tmp_path} is a directory"
    for name in ("", "none", "directory", "/no/such/program"):
        assert obstacle(name, "/", path) is None
