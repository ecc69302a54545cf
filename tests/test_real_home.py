"""The guard of the real home: what it forbids, and what it leaves alone."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.real_home import RealHome, TouchedRealHomeError

TOUCHES: dict[str, Callable[[str], object]] = {
    "read": open,
    "write": lambda path: Path(path).write_text("x"),
    "list": os.listdir,
    "make": os.mkdir,
    "remove": os.remove,
    "connect": sqlite3.connect,
    "move there": lambda path: os.rename("/nonexistent", path),
}


@pytest.mark.parametrize("touch", TOUCHES)
def test_touching_the_real_home_raises_and_is_remembered(touch: str, real_home: RealHome) -> None:
    path = os.path.join(real_home.theirs[0], "agentctl-tests-must-not-make-this")
    with pytest.raises(TouchedRealHomeError):
        TOUCHES[touch](path)
    assert len(real_home.touched) == 1
    real_home.touched.clear()


def test_every_place_of_agents_and_of_agentctl_is_watched(real_home: RealHome) -> None:
    for path in real_home.theirs:
        with pytest.raises(TouchedRealHomeError):
            os.listdir(path)
    real_home.touched.clear()


def test_what_python_and_the_tests_need_is_left_alone(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    assert os.listdir(pytestconfig.rootpath)
    assert os.listdir(os.path.dirname(pytest.__file__))
    (tmp_path / "file").write_text("x")


def test_the_longest_prefix_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "ann"
    monkeypatch.setenv("HOME", str(home))
    made = RealHome({"HOME": str(home)}, [str(tmp_path), str(home / "src")])
    assert made.is_theirs(str(home / ".codex" / "sessions"))
    assert made.is_theirs(str(home / "notes"))
    assert not made.is_theirs(str(home / "src" / "agentctl" / "pyproject.toml"))
    assert not made.is_theirs(str(tmp_path / "other"))
