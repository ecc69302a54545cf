"""A command that starts a container: the container outlives it, so the program is asked."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentctl.core import containers
from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import row

PODMAN = """#!/bin/sh
# A client: the container that it asks for is started by somebody else, here the test.
here=$(dirname "$0")
while [ "${1#-}" != "$1" ]; do shift 2; done
case $1 in
run)
	[ "$2" = --label ] || exit 125
	echo "$3" >"$here/asked"
	exec sleep 301 ;;
ps)
	[ -e "$here/down" ] && { echo "no connection" >&2; exit 125; }
	[ ! -e "$here/${4#label=}" ] || echo c0ffee
	exit 0 ;;
stop | kill) kill -KILL "$(cat "$here"/agentctl.session=*)" && rm "$here"/agentctl.session=* ;;
esac
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a `podman` whose containers are processes of nobody."""
    place = tmp_path / "engine"
    place.mkdir()
    (place / "podman").write_text(PODMAN)
    (place / "podman").chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")
    return place


@pytest.fixture
def launched(
    engine: Path, run: Run, tmp_path: Path, wait_until: WaitUntil
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A session that runs a container: its id, and the container, which no shim has below it."""
    words = ["launch", "exec", "--cwd", str(tmp_path), "--settle", "0", "--"]
    done = run([*words, "podman", "--runtime", "runc", "run", "alpine"])
    session_id = done.stdout.strip()
    assert "podman starts containers that outlive it" in done.stderr
    label = f"agentctl.session={session_id}"
    asked = engine / "asked"
    wait_until(lambda: asked.exists() and asked.read_text() == f"{label}\n")
    assert row(session_id).args == ("podman", "--runtime", "runc", "run", "alpine")
    with subprocess.Popen(["sleep", "300"]) as container:
        (engine / label).write_text(str(container.pid))
        yield session_id, container
        container.kill()


def test_stop_ends_the_container(launched: tuple[str, subprocess.Popen[bytes]], run: Run) -> None:
    session_id, container = launched
    assert session_id[:8] in run("doctor", exit=None).stdout
    run(["stop", session_id])
    assert container.wait(5) == -signal.SIGKILL


def test_stop_does_not_say_stopped_where_nobody_can_be_asked(
    launched: tuple[str, subprocess.Popen[bytes]], engine: Path, run: Run
) -> None:
    session_id, container = launched
    (engine / "down").touch()
    assert "the container may still run" in run(["stop", session_id], exit=3).stderr
    assert "no connection" in run(["stop", session_id], exit=3).stderr
    assert container.poll() is None
    (engine / "down").unlink()
    run(["stop", session_id])
    assert container.wait(5) == -signal.SIGKILL


def test_the_container_of_a_session_that_ended_by_itself_is_named_and_ended_by_force(
    launched: tuple[str, subprocess.Popen[bytes]], run: Run, wait_until: WaitUntil
) -> None:
    session_id, container = launched
    pid = row(session_id).pid
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: row(session_id).is_final)
    assert "its container still runs: c0ffee" in run(["stop", session_id]).stderr
    assert container.poll() is None
    run(["stop", "--force", session_id])
    assert container.wait(5) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("command", "labelled"),
    [
        ("podman run -it x", "podman run --label agentctl.session=ID -it x"),
        ("/usr/bin/docker container run x", "/usr/bin/docker container run --label agentctl.session=ID x"),
        ("docker -H tcp://h run x", "docker -H tcp://h run --label agentctl.session=ID x"),
        ("nerdctl --debug run x", "nerdctl --debug run --label agentctl.session=ID x"),
        ("docker compose run x", "docker compose run x"),
        ("podman start x", "podman start x"),
        ("make run", "make run"),
    ],
)
def test_the_label_follows_the_word_run(command: str, labelled: str) -> None:
    assert " ".join(containers.labelled(command.split(), "ID")) == labelled
