"""What an on-create hook starts belongs to the session, and goes with a launch that fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import is_running
from tests.git_tools import make_repository

SERVER = "(env -i setsid /bin/sleep 300 & echo $! >{0}.new); mv {0}.new {0}"
"""A server in the background, without parent or environment."""


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """Where the server's pid will be."""
    return tmp_path / "server"


def test_a_server_ends_with_the_session_and_is_named(tmp_path: Path, run: Run, server: Path) -> None:
    hook = SERVER.format(server)
    session_id = run(
        ["launch", "exec", "--cwd", str(tmp_path), "--settle", "0", "--on-create", hook, "--", "sleep", "300"]
    ).stdout.strip()
    pid = int(server.read_text())
    assert is_running(pid)
    assert f"{pid} (sleep)" in run(["stop", session_id]).stderr
    assert not is_running(pid)


def test_a_server_ends_with_a_launch_that_fails_and_is_named(tmp_path: Path, run: Run, server: Path) -> None:
    hook = SERVER.format(server) + "; exit 3"
    words = ["launch", "exec", "--cwd", str(tmp_path), "--on-create", hook, "--", "sleep", "300"]
    said = run(words, exit=1).stderr
    pid = int(server.read_text())
    assert f"{pid} (sleep)" in said
    assert not is_running(pid)


@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupted_group_leaves_nothing_at_once(
    times: int, tmp_path: Path, wait_until: WaitUntil
) -> None:
    repository = make_repository(tmp_path / "repository")
    hook = f"{SERVER.format(f'{tmp_path}/server-$$')}; exec sleep 300"
    words = ["launch", "--cwd", str(repository), "--adapter", "demo", "--adapter", "demo", "-p", "hang"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # or it would be inherited as ignored
    try:
        launcher = subprocess.Popen(
            [sys.executable, "-P", "-m", "agentctl", *words, "--on-create", hook],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with launcher:
        wait_until(lambda: len([one for one in tmp_path.glob("server-*") if one.suffix != ".new"]) == 2)
        for _ in range(times):
            os.kill(launcher.pid, signal.SIGINT)
        assert launcher.wait(20) == 130
    for one in tmp_path.glob("server-*"):
        assert not is_running(int(one.read_text()))
        assert not is_running(int(one.name.removeprefix("server-")))
