"""What a person or a script gets wrong: a clear error, and nothing lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agentctl.core.model import Outcome, Status
from agentctl.host.clock import utcnow
from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import is_running
from tests.planting import field_in

AGENTCTL = (sys.executable, "-P", "-m", "agentctl")


def launched(run: Run, cwd: Path, *words: str) -> str:
    cwd.mkdir(exist_ok=True)
    return run(["launch", "exec", "--settle", "0s", "--cwd", str(cwd), *words]).stdout.strip()


def break_settings() -> Path:
    path = Path(os.environ["AGENTCTL_HOME"], "config.toml")
    path.write_text("[broken")
    return path


def test_a_wrong_configuration_keeps_nobody_from_looking_and_stopping(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """Takes some seconds: a fuse of 2 s must fire although the configuration is wrong."""
    hook_ran = tmp_path / "hook"
    ending = launched(run, tmp_path / "a", "--on-complete", f"echo x >>{hook_ran}", "--", "sleep", "0.2")
    burning = launched(run, tmp_path / "b", "--fuse", "2s", "--", "sleep", "60")
    stopped = launched(run, tmp_path / "c", "--", "sleep", "60")
    settings = break_settings()

    run(["stop", stopped])
    assert run(["status", "--json", stopped]).json()["sessions"][0]["outcome"] == "cancelled"

    def outcome(session: str) -> str | None:
        found: str | None = run(["status", "--json", session]).json()["sessions"][0]["outcome"]
        return found

    wait_until(lambda: outcome(burning) == "timed_out", timeout=20)
    wait_until(lambda: outcome(ending) == "succeeded", timeout=20)
    assert not hook_ran.exists()
    assert "config.toml" in run("reap", exit=2).stderr

    settings.unlink()

    def is_made_up_for() -> bool:
        run("reap")  # which leaves it to a deliverer that a look has started, if that is still at work
        return hook_ran.exists() and hook_ran.read_text() == "x\n"

    wait_until(is_made_up_for)


def test_a_webhook_queued_under_a_wrong_configuration_is_looked_up_later(run: Run, tmp_path: Path) -> None:
    session = launched(run, tmp_path / "a", "--", "sleep", "60")
    settings = break_settings()
    run(["stop", session])
    settings.unlink()
    run("reap")
    deliveries = run("hooks list --json").json()["deliveries"]
    assert {each["state"] for each in deliveries} == {"done"}


@pytest.mark.parametrize("how", ["emptied", "deleted"])
def test_sessions_without_their_database_are_not_forgotten_silently(
    how: str, run: Run, tmp_path: Path
) -> None:
    session = launched(run, tmp_path / "a", "--", "sleep", "60")
    home = Path(os.environ["AGENTCTL_HOME"])
    for path in home.glob("agentctl.db*"):
        path.unlink()
    if how == "emptied":
        (home / "agentctl.db").touch()
    for words in (
        ["list"],
        ["stop", "--all"],
        ["launch", "exec", "--cwd", str(tmp_path / "a"), "--", "true"],
    ):
        refused = run(words, exit=13)
        assert "doctor --rebuild" in refused.stderr, words
    run("doctor", exit=1)
    run("doctor --rebuild")
    assert session in run("list -q").lines
    run(["stop", session])


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_fault_of_ours(closed: str, run: Run, tmp_path: Path) -> None:
    session = launched(run, tmp_path / "a", "--", "sleep", "60")
    codes = {}
    for words in ("list", f"status {session}", "locks", "fuses", "adapters", "events"):
        line = ["/bin/sh", "-c", f'"$@" {words} {closed}', "sh", *AGENTCTL]
        codes[words] = subprocess.run(line, check=False).returncode
    assert set(codes.values()) == {0}, codes


def test_a_launch_with_closed_streams_succeeds(tmp_path: Path, run: Run) -> None:
    line = f'"$@" launch exec --settle 0s --cwd {tmp_path} -- sleep 60 2>&-'
    done = subprocess.run(["/bin/sh", "-c", line, "sh", *AGENTCTL], check=False, stdout=subprocess.PIPE)
    assert done.returncode == 0
    assert done.stdout.decode().strip() in run("list -q").lines


@pytest.mark.system
def test_an_id_that_cannot_be_printed_is_in_the_error(tmp_path: Path, run: Run) -> None:
    with open("/dev/full", "w") as full:
        words = ["launch", "exec", "--settle", "0s", "--cwd", str(tmp_path), "--", "sleep", "60"]
        done = subprocess.run(
            [*AGENTCTL, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    (session,) = run("list -q").lines
    assert session in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["events", "-n", "99999999999999999999999999"],
        ["list", "--limit", "9223372036854775808"],
        ["events", "--type", os.fsdecode(b"\xff")],
        ["events", "--session", os.fsdecode(b"\xff")],
        ["list", "--name", os.fsdecode(b"\xff")],
        ["config", "set", "defaults.model", os.fsdecode(b"\xff")],
        ["config", "set", "webhook.url", "http://[::1"],
        ["launch", "exec", "--max-depth", "999999999999999999999999", "--", "true"],
        ["launch", "exec", "--name", "a/b", "--", "true"],
        ["launch", "exec", "--name", "..", "--", "true"],
    ],
)
def test_numbers_bytes_and_names_out_of_range(words: list[str], run: Run) -> None:
    outcome = run(words, exit=None)
    assert outcome.exit in (0, 2, 10), outcome


def test_an_absurd_depth_is_refused(run: Run) -> None:
    run("launch exec -- true", env={"AGENTCTL_DEPTH": "9" * 30}, exit=2)


def test_near_matches_of_names_and_ids(run: Run, tmp_path: Path) -> None:
    session = launched(run, tmp_path / "a", "--name", "buildsite", "--", "true")
    assert 'did you mean "buildsite"?' in run("status buildsit", exit=10).stderr
    typo = ("0" if session[0] != "0" else "1") + session[1:8]
    assert session in run(["status", typo], exit=10).stderr


def test_an_interrupt_while_settling_names_the_session(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    words = ["launch", "exec", "--settle", "30s", "--cwd", str(tmp_path), "--", "sleep", "60"]
    with subprocess.Popen([*AGENTCTL, *words], stderr=subprocess.PIPE, text=True) as launching:
        wait_until(lambda: run("list -q --status running").lines, timeout=20)
        launching.send_signal(signal.SIGINT)
        _, said = launching.communicate(timeout=20)
    assert launching.returncode == 130
    (session,) = run("list -q").lines
    assert session in said


def test_stop_names_what_an_ended_agent_left_and_ends_it_only_by_force(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    left = tmp_path / "left"
    session = launched(run, tmp_path / "a", "--", "sh", "-c", f"setsid sleep 60 & echo $! >{left}; exit 0")
    wait_until(lambda: run(["status", "--json", session]).json()["sessions"][0]["outcome"], timeout=20)
    pid = int(left.read_text())
    assert is_running(pid)
    assert str(pid) in run(["stop", session]).stderr
    assert is_running(pid)
    run(["stop", "--force", session])
    assert not is_running(pid)


def test_why_tells_what_an_ended_agent_reported(tmp_path: Path, run: Run) -> None:
    words = ["launch", "demo", "-p", "lie", "--wait", "--settle", "0s", "--cwd", str(tmp_path)]
    session = run(words, exit=1, env={"AGENTCTL_DEMO_PACE": "0.01"}).lines[0]
    assert run(["why", "--json", session]).json()["agent_verdict"] == "error"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("peek -n x 3f2a", "'x' is not a whole number of 0 or more"),
        ("logs -n -1 3f2a", "-1 is too small; the least is 0"),
        ("list --limit 0", "0 is too small; the least is 1"),
        ("events -n 99999999999", "99999999999 is too large; the most is 2147483647"),
    ],
)
def test_a_count_that_is_none_is_told_what_is_one(words: str, said: str, run: Run) -> None:
    assert said in run(words, exit=2).stderr


@pytest.mark.parametrize("verb", ["list", "stop", "wait"])
@pytest.mark.parametrize("group", ["g-x", "build", "", "g-0A1B2C", "g-0a1b2c3"])
def test_what_is_no_group_is_told_what_one_looks_like(verb: str, group: str, run: Run) -> None:
    error = run([verb, "--group", group, "--json"], exit=2).error()
    assert f"'{group}' is not a group: a group is g- and six hex digits, such as g-0a1b2c" in error["message"]


def test_a_group_without_sessions_is_an_empty_list(run: Run) -> None:
    assert run("list -a --group g-0a1b2c --json").json()["sessions"] == []
    run("stop --group g-0a1b2c", exit=10)


def test_an_adapter_that_nobody_knows_is_refused(run: Run) -> None:
    error = run("list --adapter opncode --json", exit=12).error()
    assert error["code"] == "adapter_unavailable"
    assert (error["message"], "opencode" in error["hint"]) == ("unknown adapter: opncode", True)
    assert run("list --adapter opencode -q").lines == []


def test_sessions_of_an_adapter_that_is_no_longer_installed_are_listed(run: Run, sealed_home: Path) -> None:
    with field_in(sealed_home) as field:
        gone = field.plant(
            adapter="gone", status=Status.STOPPED, outcome=Outcome.SUCCEEDED, exit_code=0, ended_at=utcnow()
        )
    assert run("list -a -q --adapter gone").lines == [gone.id]
    assert run("list -q --adapter gone").lines == []


def test_a_program_that_is_there_but_may_not_be_run_is_told_so(run: Run) -> None:
    error = run("launch exec --json -- /etc/passwd", exit=12).error()
    assert error["message"] == "adapter exec: /etc/passwd is not executable"
    assert "chmod +x" in error["hint"]
    assert "/etc is a directory" in run("launch exec -- /etc", exit=12).stderr
    assert "/etc/none: command not found" in run("launch exec -- /etc/none", exit=12).stderr


def test_a_launch_is_refused_over_a_setting_that_its_adapter_does_not_read(
    run: Run, sealed_home: Path
) -> None:
    sealed_home.mkdir(mode=0o700)
    (sealed_home / "config.toml").write_text('[adapters.exec]\narg = ["-v"]\n')
    error = run("launch exec --json -- true", exit=2).error()
    assert "config.toml, line 2: adapters.exec.arg: is not a setting" in error["message"]
    assert error["hint"] == 'did you mean "adapters.exec.args"?'
