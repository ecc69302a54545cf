"""The crontab line of the README, run by a real cron with the little environment that cron gives.

Needs the system's cron: as root it is started for the test if none runs. The crontab of the
user who runs the tests is put back afterwards.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from tests.conftest import RunReal, WaitUntil
from tests.e2e.opencode_runs import events, status, tagged
from tests.e2e.receiver import Receiver, free_port, receive

pytestmark = pytest.mark.system

README = Path(__file__).parent.parent.parent / "README.md"
LINE = r"^[ \t]*(?P<times>(?:[\d*/,-]+[ \t]+){{5}})(?P<command>\S.*\bagentctl {verb}\b.*)$"
SECRET = "known to both"


def documented_command(agentctl: Path, home: Path, verb: str = "reap") -> str:
    """The command of the README's first crontab line of this verb, with this program and this home put in."""
    match = re.search(LINE.format(verb=verb), README.read_text(), re.MULTILINE)
    if match is None:
        pytest.fail(f"{README.name} shows no crontab line that runs `agentctl {verb}`")
    command = re.sub(r"\bAGENTCTL_HOME=\S+", f"AGENTCTL_HOME={home}", match["command"])
    return re.sub(rf"(?<![\w./~$-])[\w./~$-]*\bagentctl(?= {verb}\b)", str(agentctl), command, count=1)


def cron_daemons() -> list[psutil.Process]:
    names = ("cron", "crond", "fcron", "busybox")
    running = [one for one in psutil.process_iter(["name"]) if one.info["name"] in names]
    return [one for one in running if one.info["name"] != "busybox" or "crond" in one.cmdline()]


@contextmanager
def running_cron(log: Path) -> Iterator[None]:
    """The system's cron, or one of our own for as long as the block runs."""
    if cron_daemons():
        yield
        return
    program = shutil.which("cron", path="/usr/sbin:/usr/bin:/sbin:/bin") or shutil.which("crond")
    if program is None:
        pytest.fail("this test needs a cron daemon: install the package cron (apt-get install cron)")
    if os.getuid() != 0:
        pytest.fail(f"no cron runs and only root can start one: start {program}, or run this test as root")
    with open(log, "wb") as output:
        daemon = subprocess.Popen(
            [program, "-f"],
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield
        assert daemon.poll() is None, f"cron has left: {log.read_text()}"
    finally:
        daemon.terminate()
        daemon.wait(10)


@contextmanager
def crontab(text: str) -> Iterator[None]:
    """This user's crontab replaced by `text`, and put back as it was."""
    if shutil.which("crontab") is None:
        pytest.fail("this test needs the program crontab: install the package cron (apt-get install cron)")
    before = subprocess.run(["crontab", "-l"], capture_output=True, check=False)
    try:
        subprocess.run(["crontab", "-"], input=text.encode(), capture_output=True, check=True)
        yield
    finally:
        if before.returncode == 0:
            subprocess.run(["crontab", "-"], input=before.stdout, check=True)
        else:
            subprocess.run(["crontab", "-r"], check=True)


@pytest.mark.long  # up to 75 s: cron looks at its tables once a minute
def test_the_documented_line_enforces_fuses_and_delivers(
    run_real: RunReal, wait_until: WaitUntil, sealed_home: Path, tmp_path: Path
) -> None:
    """Nothing but cron runs agentctl after the receiver is up: what is done then, cron has done."""
    agentctl = Path(sys.executable).with_name("agentctl")
    assert os.access(agentctl, os.X_OK), f"{agentctl}: install the project to test its script"
    command = documented_command(agentctl, sealed_home)
    port = free_port()
    run_real(["config", "set", "webhook.url", f"http://127.0.0.1:{port}/hook"])
    run_real(["config", "set", "webhook.secret", SECRET])
    done = launch_done(run_real, tmp_path / "done")
    wait_until(lambda: failed_attempts(sealed_home, done) >= 1, timeout=30)
    due, pid = launch_with_a_dead_timer(run_real, tmp_path / "due")
    wait_until(lambda: is_overdue(sealed_home, due), timeout=10)
    assert psutil.pid_exists(pid), "its timer is dead and nobody has looked: it runs on past its fuse"
    wait_until(lambda: not deliverers(sealed_home), timeout=30)

    surroundings = tmp_path / "cron.env"
    collected = tmp_path / "agentctl.prom"
    metrics = re.sub(
        r"--output \S+", f"--output {collected}", documented_command(agentctl, sealed_home, "metrics")
    )
    lines = [
        'MAILTO=""',
        f"HOME={tmp_path / 'home'}",
        f"AGENTCTL_HOME={sealed_home}",
        f"* * * * * env > {surroundings}",
        f"* * * * * {command}",
        # Any command enforces a fuse: this one comes after it, so that it is known who did.
        f"* * * * * while kill -0 {pid}; do sleep 0.1; done; {metrics}",
        "",
    ]
    with receive(port) as receiver, running_cron(tmp_path / "cron.log"), crontab("\n".join(lines)):
        wait_until(lambda: not psutil.pid_exists(pid), timeout=75)
        wait_until(lambda: is_delivered(receiver, done), timeout=20)
        wait_until(lambda: not tagged(due), timeout=20)
        wait_until(collected.exists, timeout=20)
        wait_until(lambda: not deliverers(sealed_home), timeout=20)
    given = dict(line.split("=", 1) for line in surroundings.read_text().splitlines() if "=" in line)
    assert not {"AGENTCTL_WEBHOOK_URL", "VIRTUAL_ENV", "XDG_RUNTIME_DIR"} & set(given)
    assert str(agentctl.parent) not in given["PATH"].split(":"), "cron knows the system's programs only"

    assert collected.stat().st_mode & 0o777 == 0o644
    assert '\nagentctl_sessions_total{status="succeeded"} 1\n' in collected.read_text()
    assert_timed_out_by_cron(run_real, due)
    (post,) = receiver.posts(session_id=done, hook_type="session.stopped")
    assert post.is_signed_with(SECRET)
    assert (post.body["exit_status"], post.body["outcome"]) == (0, "succeeded")
    (post,) = receiver.posts(session_id=due, hook_type="session.stopped")
    assert (post.body["event"], post.body["outcome"]) == ("session.timeout", "timed_out")


def launch_done(run_real: RunReal, project: Path) -> str:
    """A session that ends at once, and whose webhook finds nobody."""
    project.mkdir()
    return run_real(["launch", "exec", "--cwd", str(project), "--wait", "--", "true"]).lines[0]


def launch_with_a_dead_timer(run_real: RunReal, project: Path) -> tuple[str, int]:
    """A session whose fuse nobody watches any more, and its agent's pid."""
    project.mkdir()
    words = ["launch", "exec", "--cwd", str(project), "--fuse", "3s", "--settle", "0s", "--", "sleep", "300"]
    session = run_real(words).lines[0]
    pid = status(run_real, session)["pid"]
    agent = psutil.Process(pid)
    shim = agent.parent()
    assert shim is not None
    timers = [one for one in shim.children(recursive=True) if one.pid != pid]
    assert timers
    for one in timers:
        one.kill()
    psutil.wait_procs(timers, timeout=5)
    assert agent.is_running()
    return session, pid


def query(home: Path, sql: str, *values: object) -> list[tuple[object, ...]]:
    """Rows of the state, read without agentctl: any of its commands would start a delivery."""
    with closing(sqlite3.connect(f"file:{home / 'agentctl.db'}?mode=ro", uri=True)) as db:
        return db.execute(sql, values).fetchall()


def failed_attempts(home: Path, session: str) -> int:
    sql = """SELECT attempts FROM outbox WHERE session_id = ? AND name = 'session.stopped'
        AND state = 'pending' AND last_error IS NOT NULL"""
    return sum(int(str(attempts)) for (attempts,) in query(home, sql, session))


def is_overdue(home: Path, session: str) -> bool:
    now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 1))
    sql = "SELECT 1 FROM fuses WHERE session_id = ? AND state = 'armed' AND deadline < ?"
    return bool(query(home, sql, session, now))


def deliverers(home: Path) -> list[int]:
    """Pids of agentctl's own detached calls below this home."""
    found = []
    for process in psutil.process_iter():
        try:
            if "agentctl" in process.cmdline() and process.environ().get("AGENTCTL_HOME") == str(home):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def is_delivered(receiver: Receiver, session: str) -> bool:
    return bool(receiver.posts(session_id=session, hook_type="session.stopped"))


def assert_timed_out_by_cron(run_real: RunReal, session: str) -> None:
    told = status(run_real, session)
    assert (told["status"], told["outcome"], told["fuse"]["state"]) == ("error", "timed_out", "fired")
    assert told["reason"] == "blew its 3s fuse"
    (expired,) = [event for event in events(run_real, session) if event["type"] == "fuse.expired"]
    assert expired["actor"] == "reap"


def test_the_placeholders_are_all_replaced(tmp_path: Path) -> None:
    command = documented_command(Path("/opt/venv/bin/agentctl"), tmp_path)
    assert "/opt/venv/bin/agentctl reap" in command
    assert not re.search(
        r"[…<>]|/path/to|\.\.\.", command.partition("#")[0].replace(">>", "").replace("2>", "")
    )
