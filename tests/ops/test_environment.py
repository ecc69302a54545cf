"""What an invocation hands on: whatever it starts finds the same state and the same settings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentctl.host import waiting
from agentctl.host.paths import Paths
from agentctl.host.surroundings import inherited
from agentctl.runtime import Runtime
from tests.conftest import RunReal
from tests.git_tools import git, make_repository


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


def test_variables_of_a_git_hook_reach_no_agent_no_hook_and_no_finishing_call(
    run_real: RunReal, tmp_path: Path
) -> None:
    """As in `git commit` in one repository, whose hook launches an agent that commits in another."""
    one, other = make_repository(tmp_path / "one"), make_repository(tmp_path / "other")
    local = git(one, "rev-parse", "--local-env-vars").split()
    there = dict.fromkeys(local, str(one / ".git")) | {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.hooksPath",
        "GIT_CONFIG_VALUE_0": str(tmp_path),
        "GIT_QUARANTINE_PATH": str(one),
        "GIT_AUTHOR_DATE": "@1 +0000",
        "GIT_AUTHOR_NAME": "Ann",
    }
    script = "env | grep ^GIT_ >$0"
    words = ["launch", "exec", "--cwd", str(other), "--on-create", f"env | grep ^GIT_ >{tmp_path}/created"]
    hook = f"env | grep ^GIT_ >{tmp_path}/new; mv {tmp_path}/new {tmp_path}/completed"
    words += ["--on-complete", hook, "--settle", "0", "--wait", "--"]
    run_real([*words, "sh", "-c", script, str(tmp_path / "agent")], env=there)
    run_real("reap", env=there)
    assert waiting.poll((tmp_path / "completed").exists, timeout=20)
    for place in ("created", "agent", "completed"):
        assert (tmp_path / place).read_text() == "GIT_AUTHOR_NAME=Ann\n", place


def test_a_date_that_no_hook_of_git_set_is_the_users_own() -> None:
    environ = {"GIT_AUTHOR_DATE": "@1 +0000", "GIT_SSH_COMMAND": "ssh -v"}
    assert inherited(environ) == environ


def test_this_gits_list_of_variables_is_known(tmp_path: Path) -> None:
    local = git(make_repository(tmp_path / "r"), "rev-parse", "--local-env-vars").split()
    assert not inherited(dict.fromkeys(local, "x"))


def test_hooks_have_the_users_variables_whoever_runs_them(run_real: RunReal, tmp_path: Path) -> None:
    """Also those that the shim keeps from the call that finishes a session."""
    seen = tmp_path / "seen"
    script = f'echo "$PYTHONPATH $PYTHONWARNINGS $id $name" >{seen}.new; mv {seen}.new {seen}'
    env = {"PYTHONPATH": str(tmp_path), "PYTHONWARNINGS": "ignore", "id": "one", "name": "two"}
    words = ["launch", "exec", "--settle", "0", "--on-complete", script, "--wait", "--", "true"]
    run_real(words, env=env, cwd=tmp_path)
    assert waiting.poll(seen.exists, timeout=20)
    assert seen.read_text() == f"{tmp_path} ignore one two\n"
