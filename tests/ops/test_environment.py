"""What an invocation hands on: whatever it starts finds the same state and the same settings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentctl.host.paths import Paths
from agentctl.runtime import Runtime


def test_an_empty_home_stays_empty_for_whatever_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AGENTCTL_HOME", "")
    runtime = Runtime.from_environment()
    assert not runtime.environ.get("AGENTCTL_HOME")
    assert Paths.from_environment(runtime.environ) == runtime.paths
    # The platform keeps settings and state in two places; a home would make them one.
    assert Path(runtime.paths.config_file).parent != Path(runtime.paths.state)
    assert Path(runtime.paths.state).is_relative_to(tmp_path)


def test_a_relative_home_is_handed_on_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGENTCTL_HOME", "state")
    runtime = Runtime.from_environment()
    monkeypatch.chdir(os.sep)
    assert runtime.environ["AGENTCTL_HOME"] == str(tmp_path / "state")
    assert Paths.from_environment(runtime.environ) == runtime.paths
