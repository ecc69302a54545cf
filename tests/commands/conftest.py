"""Places in which the tests of several commands work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.git_tools import make_repository


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to work in, which is the current one."""
    directory = tmp_path / "work"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository, which is the current directory too; the demo agent does not pause in it."""
    monkeypatch.setenv("AGENTCTL_DEMO_PACE", "0")
    made = make_repository(tmp_path / "site")
    monkeypatch.chdir(made)
    return made
