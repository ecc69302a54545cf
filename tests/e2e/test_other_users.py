"""A state of another user, which root works with; and a user without a home."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import pytest

import agentctl
from tests.conftest import WaitUntil

UID = 54321
"""A user without a passwd entry."""

PYTHON = "/usr/bin/python3"
MODULES = os.pathsep.join(str(Path(str(one.__file__)).parents[1]) for one in (agentctl, click))

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.getuid() != 0, reason="becomes other users, which needs root"),
]


def agentctl_as(uid: int, *words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PYTHON, "-P", "-m", "agentctl", *words],
        user=uid,
        group=uid,
        extra_groups=[],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": MODULES, "PYTHONDONTWRITEBYTECODE": "1", **env},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def home() -> Iterator[Path]:
    """The home of user UID, who can run agentctl. Not below tmp_path, which pytest closes to other users."""
    probe = agentctl_as(UID, "--version", env={})
    if probe.returncode != 0:
        pytest.skip(f"another user cannot run {PYTHON} with agentctl")
    with TemporaryDirectory(prefix="agentctl-", dir="/tmp") as place:
        os.chmod(place, 0o755)
        made = Path(place, "user")
        made.mkdir()
        os.chown(made, UID, UID)
        yield made


def of_root(place: Path) -> list[str]:
    found = []
    for path in place.rglob("*"):
        with suppress(FileNotFoundError):  # renamed meanwhile
            if path.lstat().st_uid == 0:
                found.append(str(path))
    return found


@pytest.mark.parametrize("asked", [{"SUDO_UID": str(UID)}, {"PKEXEC_UID": str(UID)}])
def test_with_sudo_the_work_is_done_as_the_user_whose_state_it_is(home: Path, asked: dict[str, str]) -> None:
    env = {"HOME": str(home), "AGENTCTL_HOME": str(home / "state")}
    words = ("launch", "exec", "--cwd", str(home), "--wait", "--settle", "0", "--", "sh", "-c", "id -u >who")
    done = agentctl_as(0, *words, env={**env, **asked})
    assert done.returncode == 0, done.stderr
    assert (home / "who").read_text() == f"{UID}\n"
    for command in ("list", "reap", "doctor"):
        agentctl_as(0, command, env={**env, **asked})
    assert of_root(home) == []
    listed = agentctl_as(UID, "list", "-a", "-q", env=env)
    assert listed.stdout == done.stdout


def test_a_user_who_cannot_run_this_program_is_not_worked_for_as_root(home: Path, tmp_path: Path) -> None:
    hidden = tmp_path / "hidden"
    hidden.mkdir(0o700)
    (hidden / "agentctl").symlink_to(os.path.dirname(agentctl.__file__))
    env = {"AGENTCTL_HOME": str(home / "state"), "SUDO_UID": str(UID)}
    done = agentctl_as(0, "list", env={**env, "PYTHONPATH": f"{hidden}:{os.path.dirname(click.__file__)}/.."})
    assert done.returncode == 13, done.stderr
    assert "cannot run" in done.stderr
    assert not (home / "state").exists()


def test_any_other_root_gives_its_files_to_the_directorys_owner(home: Path) -> None:
    env = {"HOME": str(home), "AGENTCTL_HOME": str(home / "state")}
    words = ("launch", "exec", "--cwd", str(home), "--fuse", "1h", "--settle", "0", "--", "sleep", "60")
    session_id = agentctl_as(UID, *words, env=env).stdout.strip()
    try:
        for command in (
            f"fuse extend {session_id} --by 1h",
            "list",
            "reap",
            "config set defaults.fuse 2h",
            "lock /tmp",
        ):
            done = agentctl_as(0, *command.split(), env=env)
            assert done.returncode == 0, done.stderr
        assert of_root(home) == []
    finally:
        stopped = agentctl_as(UID, "stop", session_id, "--force", env=env)
    assert stopped.returncode == 0, stopped.stderr


def test_a_session_of_root_can_be_read_by_the_owner_of_the_state(home: Path, wait_until: WaitUntil) -> None:
    env = {"HOME": str(home), "AGENTCTL_HOME": str(home / "state")}
    words = (
        "launch",
        "exec",
        "--cwd",
        "/",
        "--fuse",
        "1h",
        "--settle",
        "0",
        "--",
        "sh",
        "-c",
        "sleep 0.5; exit 7",
    )
    agentctl_as(UID, "config", "set", "defaults.fuse", "2h", env=env)
    session_id = agentctl_as(0, *words, env=env).stdout.strip()
    wait_until(lambda: list(home.glob("state/sessions/*/exit")) and of_root(home) == [])
    assert agentctl_as(UID, "wait", "--exit-code", session_id, env=env).returncode == 7


@pytest.mark.parametrize("env", [{}, {"AGENTCTL_HOME": "~/state"}, {"HOME": "relative"}])
def test_without_a_home_the_way_out_is_named(home: Path, env: dict[str, str]) -> None:
    done = agentctl_as(UID, "list", env=env)
    assert done.returncode == 13, done.stderr
    assert "AGENTCTL_HOME" in done.stderr
