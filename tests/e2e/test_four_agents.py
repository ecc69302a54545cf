"""One prompt for all four real agents at once: one list, one status of each, nothing mixed up."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import RunReal
from tests.e2e.claude_env import FOREIGN, claude_environment
from tests.e2e.codex_env import codex_environment, project
from tests.e2e.opencode_env import opencode_environment
from tests.e2e.opencode_runs import PATIENCE, listed, status
from tests.e2e.pi_env import pi_environment
from tests.fake_model import DONE, GREETING, FakeModel

pytestmark = pytest.mark.agents

WRITERS = {
    "claude-code": "tool-write",
    "codex": "tool-write",
    "opencode": "mock/tool-write",
    "pi": "mock/tool-write",
}
"""Agents whose model calls their tool for writing a file."""

AUTHOR = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")

MODELS = {"claude-code": "slow5", "codex": "slow5", "opencode": "mock/slow5", "pi": "mock/slow5"}


@pytest.fixture
def four(
    agents: Path, model: FakeModel, sealed_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All four programs in PATH, with one home, and no model but the fake one."""
    for name in list(os.environ):
        if name.startswith(FOREIGN):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    for environment in (claude_environment, codex_environment, opencode_environment, pi_environment):
        for name, value in environment(home, model.url).items():
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{agents / 'bin'}{os.pathsep}{os.environ['PATH']}")


def test_one_prompt_for_all_four(run_real: RunReal, four: None, model: FakeModel, tmp_path: Path) -> None:
    launched = {}
    for adapter, name in MODELS.items():
        place = project(tmp_path / adapter)
        words = [
            "launch",
            adapter,
            "--cwd",
            str(place),
            "--model",
            name,
            "--settle",
            "0s",
            "-p",
            "Say hello.",
        ]
        launched[adapter] = run_real(words, timeout=PATIENCE).stdout.strip()
    assert {one["id"]: one["adapter"] for one in listed(run_real, "-a")} == {
        session: adapter for adapter, session in launched.items()
    }, "each once, and nothing that its own store holds besides"

    run_real(["wait", *launched.values()], timeout=2 * PATIENCE)
    assert listed(run_real) == []
    for adapter, session in launched.items():
        told = status(run_real, session)
        assert (told["outcome"], told["exit_code"], told["result"]) == ("succeeded", 0, GREETING), told
        assert told["tokens"]["input"] and told["tokens"]["output"], adapter
        assert told["native_id"] and told["transcript_path"] and told["turns"] == 1, adapter
        assert MODELS[adapter].endswith(told["model"].rpartition("/")[2])
        (said,) = [line for line in run_real(["peek", session]).lines if line.endswith(GREETING)]
        assert said
    assert len({status(run_real, session)["native_id"] for session in launched.values()}) == len(MODELS)
    assert {one["id"] for one in listed(run_real, "-a")} == set(launched.values()), "nothing is listed twice"


def test_four_agents_side_by_side_in_worktrees_of_one_repository(
    run_real: RunReal, four: None, tmp_path: Path
) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "readme").write_text("A project.\n")
    for words in (["init", "-q", "-b", "main"], ["add", "."], [*AUTHOR, "commit", "-q", "-m", "Begin"]):
        subprocess.run(["git", *words], cwd=repo, check=True, timeout=PATIENCE)
    run_real("config set adapters.claude-code.permission_mode acceptEdits")
    run_real("config set adapters.codex.sandbox danger-full-access")
    slots = [word for adapter, name in WRITERS.items() for word in ("--adapter", adapter, "--model", name)]
    words = ["launch", "--cwd", str(repo), "--settle", "0s", "-p", "Write a file.", *slots]
    launched = run_real(words, timeout=2 * PATIENCE).lines
    assert len(launched) == len(WRITERS)
    run_real(["wait", *launched], timeout=3 * PATIENCE)

    (group,) = {status(run_real, session)["group"] for session in launched}
    told = run_real(["compare", "--json", group]).json()
    ended = {one["adapter"]: (one["outcome"], one["result"]) for one in told["sessions"]}
    assert ended == dict.fromkeys(WRITERS, ("succeeded", DONE))
    changed = [[file["path"] for file in one["changes"]["files"]] for one in told["sessions"]]
    assert changed == [["hello.txt"]] * len(WRITERS)
    (shared,) = told["shared_files"]
    assert (shared["path"], set(shared["sessions"])) == ("hello.txt", set(launched))
    trees = run_real(["worktree", "list", str(repo), "--json"]).json()["worktrees"]
    assert {one["session_id"] for one in trees} >= set(launched)
