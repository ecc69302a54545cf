"""`agentctl launch` of several agents: slots, worktrees, what is printed, what is rolled back.

Agents are shell commands and the demo agent; repositories are real ones.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Outcome, Run, WaitUntil
from tests.git_tools import branches, commit, git, make_repository, with_origin, worktrees

HANGING = ("--", "sh", "-c", "exec sleep 300")


def slots(*models: str | None, adapter: str = "demo") -> list[str]:
    words = []
    for model in models:
        words += ["--adapter", adapter, *(["--model", model] if model else [])]
    return words


def sessions(run: Run, *ids: str) -> list[Any]:
    return list(run(["status", "--json", *ids]).json()["sessions"])


def test_each_agent_has_a_branch_and_a_worktree_of_one_group(run: Run, repo: Path) -> None:
    head = git(repo, "rev-parse", "HEAD")
    done = run(["launch", "-p", "hello", *slots("x/one", "two", None)])
    found = sessions(run, *done.lines)
    (group,) = {one["group"] for one in found}
    assert [one["branch"] for one in found] == [f"try/{group}/demo{end}" for end in ("-one", "-two", "")]
    assert [one["cwd"] for one in found] == [f"{repo}-try-{group}-demo{end}" for end in ("-one", "-two", "")]
    assert {(one["repo"], one["base_commit"]) for one in found} == {(str(repo), head)}
    assert {str(path) for path in worktrees(repo)} == {one["cwd"] for one in found}
    assert [one["model"] for one in found][:2] == ["x/one", "two"]
    assert f"group {group}: 3 of 3 agents started" in done.stderr
    for one in found:
        assert one["id"][:8] in done.stderr


def test_a_model_belongs_to_the_adapter_before_it(run: Run, repo: Path) -> None:
    done = run(["launch", "-p", "x", "--model=a", "demo"])
    assert sessions(run, *done.lines)[0]["model"] == "a"
    words = ["launch", "-p", "x", "--adapter", "demo", "--settle=0s", "--model=b", "--adapter=demo"]
    first, second = sessions(run, *run(words).lines)
    assert first["model"] == "b"
    assert second["branch"].endswith("/demo")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--model x --adapter demo --adapter demo", "--model x comes before any --adapter"),
        ("--adapter demo --model x --model y", "--adapter demo has two models"),
        ("demo --adapter demo", "either as an argument or with --adapter"),
        ("demo --matrix m.yaml", "--matrix names the agents"),
        ("--adapter demo --matrix m.yaml", "--matrix names the agents"),
        ("demo --worktree . --cwd .", "--cwd and --worktree exclude each other"),
        ("--adapter", "--adapter needs a value"),
        ("demo --worktree . --branch 'a b'", "'a b' is not a valid branch name"),
        ("demo --worktree . --branch=-x", "'-x' is not a valid branch name"),
        ("demo --worktree . --branch a..b", "is not a valid branch name"),
        ("demo --branch new --base-branch nowhere", "--base-branch nowhere: no such branch"),
        (" ".join(["--adapter demo"] * 33), "33 agents are more than the 32"),
    ],
)
def test_what_contradicts_itself_is_refused_before_anything_is_made(
    run: Run, repo: Path, words: str, said: str
) -> None:
    (repo / "m.yaml").write_text("matrix:\n- adapter: demo\n")
    assert said in run(f"launch -p x {words}", exit=2).stderr
    assert (branches(repo), worktrees(repo)) == ({"main"}, [])
    assert run("list -a --json").json()["sessions"] == []


def test_an_unknown_adapter_stops_the_whole_launch(run: Run, repo: Path) -> None:
    refused = run(["launch", "-p", "x", "--adapter", "demo", "--adapter", "dmo"], exit=12)
    assert 'did you mean "demo"' in refused.stderr
    assert worktrees(repo) == []


def test_outside_of_a_repository_there_is_nowhere_to_work_side_by_side(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "is not in a git repository" in run(["launch", "-p", "x", *slots(None, None)], exit=2).stderr
    assert "is not in a git repository" in run("launch demo -p x --worktree .", exit=10).stderr


def test_one_document_holds_the_sessions_the_group_and_the_failures(run: Run, repo: Path) -> None:
    words = ["--adapter", "demo", "--adapter", "opencode", "--adapter", "demo", "--model", "m"]
    done = run(["launch", "-p", "x", *words, "--json"], exit=3).json()
    assert [one["adapter"] for one in done["sessions"]] == ["demo", "demo"]
    assert {one["group"] for one in done["sessions"]} == {done["group"]}
    (failed,) = done["failed"]
    assert (failed["adapter"], failed["error"]["code"]) == ("opencode", "adapter_unavailable")
    assert not git(repo, "branch", "--list", f"try/{done['group']}/opencode")


@pytest.mark.parametrize("reason", ["hook", "early", "program"])
def test_a_slot_that_fails_leaves_neither_worktree_nor_branch(run: Run, repo: Path, reason: str) -> None:
    """The second slot fails; the first goes on."""
    hook = 'case "$AGENTCTL_BRANCH" in *bad) touch left; exit 1;; esac'
    script = repo / "agent"
    script.write_text('#!/bin/sh\ncase "$PWD" in *-bad) exit 4;; esac\nexec sleep 300\n')
    script.chmod(0o700)
    commit(repo, "with an agent")
    matrix = "matrix:\n- {adapter: exec, branch: good}\n- {adapter: exec, branch: bad}\n"
    (repo / "m.log").write_text(matrix)
    words = {
        "hook": ["--on-create", hook, *HANGING],
        "early": ["--settle", "2s", "--", "./agent"],
        "program": ["--", "./agent"],
    }[reason]
    if reason == "program":
        git(repo, "branch", "bad")
        git(repo, "worktree", "add", "-q", str(repo.parent / "other"), "bad")
        git(repo.parent / "other", "rm", "-q", "agent")
        git(repo.parent / "other", "commit", "-q", "-m", "none")
        git(repo, "worktree", "remove", str(repo.parent / "other"))
    done = run(["launch", "--matrix", "m.log", *words], exit=3)
    (one,) = sessions(run, *done.lines)
    assert (one["branch"], one["status"]) == ("good", "running")
    assert worktrees(repo) == [Path(f"{repo}-good")]
    assert not Path(f"{repo}-bad").exists()
    assert branches(repo) == {"main", "good", *(["bad"] if reason == "program" else [])}
    assert "1 of 2 agents started" in done.stderr
    (ended,) = [each for each in run("list -a --json").json()["sessions"] if each["branch"] == "bad"]
    assert (ended["outcome"], ended["group"]) == ("failed", one["group"])


def test_an_agent_that_failed_early_but_left_work_keeps_its_worktree(run: Run, repo: Path) -> None:
    refused = run(
        ["launch", "exec", "--branch", "b", "--settle", "20s", "--", "sh", "-c", "echo >new; exit 1"], exit=1
    )
    assert f"its worktree {repo}-b was kept" in refused.stderr
    assert Path(f"{repo}-b", "new").exists()


def test_the_hook_of_an_agent_whose_worktree_went_runs_nowhere_else(
    run: Run, repo: Path, tmp_path: Path, wait_until: WaitUntil
) -> None:
    hook = f'echo "$PWD $AGENTCTL_CWD" > "{tmp_path}/told"'
    words = ["--branch", "b", "--on-create", "false", "--on-complete", hook]
    run(["launch", "exec", *words, "--", "true"], exit=1)

    def failed() -> bool:
        found = run("hooks list --json").json()["deliveries"]
        return any(one["name"] == "on_complete" and f"{repo}-b" in (one["last_error"] or "") for one in found)

    wait_until(failed)
    assert not (tmp_path / "told").exists()
    assert worktrees(repo) == []


@pytest.mark.parametrize("option", ["--branch", "--base-branch"])
def test_an_empty_branch_is_a_slip_and_no_default(run: Run, repo: Path, option: str) -> None:
    assert f"{option} is empty" in run(["launch", "demo", "-p", "x", option, ""], exit=2).stderr
    assert worktrees(repo) == []


def test_all_slots_failing_is_a_failure(run: Run, repo: Path) -> None:
    done = run(["launch", "-p", "x", "--on-create", "false", *slots(None, None)], exit=1)
    assert done.stdout == ""
    assert "0 of 2 agents started" in done.stderr
    group = done.stderr.split("group ")[1][:8]
    assert f"demo on try/{group}/demo-2: its on-create hook failed" in done.stderr
    assert (branches(repo), worktrees(repo)) == ({"main"}, [])


def test_slow_hooks_run_side_by_side(run: Run, repo: Path, tmp_path: Path) -> None:
    """Each waits until all four are there: one after the other they would never come to an end."""
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    hook = f'touch "{meeting}/$$"; until [ "$(ls "{meeting}" | wc -l)" -ge 4 ]; do sleep 0.05; done'
    done = run(["launch", "-p", "x", "--settle", "0s", "--on-create", hook, *slots("a", "b", "c", "d")])
    assert len(done.lines) == 4


def test_names_and_prompts_are_of_each_slot(run: Run, repo: Path) -> None:
    (repo / "m.toml").write_text(
        'prompt = "all"\n[[matrix]]\nadapter = "demo"\nmodel = ["a", "b"]\n'
        '[[matrix]]\nadapter = "demo"\nprompt = "own"\n'
    )
    done = run(["launch", "--matrix", "m.toml", "--name", "n"])
    found = sessions(run, *done.lines)
    assert [one["name"] for one in found] == ["n-demo-a", "n-demo-b", "n-demo"]
    assert [one["prompt"] for one in found] == ["all", "all", "own"]


def test_the_command_line_beats_a_matrix_file(run: Run, repo: Path, tmp_path: Path) -> None:
    other = make_repository(tmp_path / "other")
    (repo / "spec.md").write_text("Be brief.")
    (repo / "m.yaml").write_text(
        f"prompt: file\ncwd: {other}\nspec: spec.md\nhooks: {{on_create: 'echo file > hook.log'}}\n"
        "matrix: [{adapter: demo, model: [a, b]}]\n"
    )
    for one in sessions(run, *run("launch --matrix m.yaml").lines):
        assert one["repo"] == str(other)
        assert "Be brief." in one["prompt"] and one["prompt"].endswith("\n\nfile")
        assert Path(one["cwd"], "hook.log").read_text() == "file\n"
    words = ["-p", "line", "--on-create", "echo line > hook.log", "--worktree", "."]
    for one in sessions(run, *run(["launch", "--matrix", "m.yaml", *words]).lines):
        assert one["repo"] == str(repo)
        assert "Be brief." in one["prompt"] and one["prompt"].endswith("\n\nline")
        assert Path(one["cwd"], "hook.log").read_text() == "line\n"


def test_a_matrix_of_one_needs_no_worktree(run: Run, repo: Path) -> None:
    (repo / "m.yaml").write_text("prompt: hi\nmatrix: [{adapter: demo, model: m}]\n")
    (one,) = sessions(run, *run("launch --matrix m.yaml").lines)
    assert (one["cwd"], one["group"], one["model"], one["repo"]) == (str(repo), None, "m", None)
    (repo / "m.yaml").write_text("prompt: hi\nmatrix: [{adapter: demo, branch: b}]\n")
    (one,) = sessions(run, *run("launch --matrix m.yaml").lines)
    assert (one["cwd"], one["group"], one["branch"]) == (f"{repo}-b", None, "b")


def test_waiting_for_a_group_ends_as_wait_does(run: Run, repo: Path) -> None:
    done = run(["launch", "-p", "say hello", "--wait", *slots("a", "b")])
    assert [one["outcome"] for one in sessions(run, *done.lines)] == ["succeeded"] * 2
    run(["launch", "--wait", "-p", "fail", "--settle", "0s", *slots("a", "b")], exit=1)
    done = run(
        ["launch", "-p", "x", "--wait", "--json", "--adapter", "demo", "--adapter", "opencode"], exit=3
    )
    assert [one["status"] for one in done.json()["sessions"]] == ["stopped"]


def test_max_running_counts_this_launch_and_refuses_all_of_it(run: Run, repo: Path) -> None:
    run(["launch", "exec", *HANGING])
    refused = run(["launch", "--max-running", "2", *slots(None, None, adapter="exec"), *HANGING], exit=11)
    assert "1 sessions are live, and with 2 more" in refused.stderr
    assert worktrees(repo) == []
    run(["launch", "--max-running", "1", "exec", "--force", *HANGING], exit=11)
    assert len(run(["launch", "--max-running", "3", *slots(None, None, adapter="exec"), *HANGING]).lines) == 2


def test_branches_that_are_named(run: Run, repo: Path) -> None:
    words = ["launch", "-p", "x", "--branch", "fix", *slots("a", "b")]
    assert [one["branch"] for one in sessions(run, *run(words).lines)] == ["fix-demo-a", "fix-demo-b"]


def single(run: Run, *words: str, exit: int = 0) -> Outcome:  # noqa: A002
    return run(["launch", "demo", "-p", "x", *words], exit=exit)


def test_a_single_agent_in_a_worktree(run: Run, repo: Path) -> None:
    (one,) = sessions(run, single(run, "--worktree", str(repo)).stdout.strip())
    assert one["branch"].startswith("try/g-") and one["branch"].endswith("/demo")
    assert (one["group"], one["repo"]) == (None, str(repo))
    assert Path(one["cwd"]) in worktrees(repo)


def test_a_branch_that_is_there_is_checked_out_and_its_worktree_used_again(run: Run, repo: Path) -> None:
    git(repo, "branch", "old")
    head = commit(repo, "newer")
    one, two = (sessions(run, single(run, "--branch", "old", "--wait").stdout.strip())[0] for _ in "12")
    assert one["cwd"] == two["cwd"] == f"{repo}-old"
    assert one["base_commit"] == git(repo, "rev-parse", "old") != head
    assert "is reused" in single(run, "--branch", "old", "--base-branch", "main").stderr


def test_a_branch_that_is_checked_out_elsewhere_is_refused(run: Run, repo: Path) -> None:
    refused = single(run, "--worktree", ".", "--branch", "main", exit=11)
    assert f"branch main is checked out in {repo}" in refused.stderr
    assert run("list -a --json").json()["sessions"] == []


def test_names_that_make_the_same_path_get_a_number(run: Run, repo: Path) -> None:
    cwds = [
        sessions(run, single(run, "--branch", name).stdout.strip())[0]["cwd"]
        for name in ("a/b", "a-b", "a.b")
    ]
    assert cwds == [f"{repo}-a-b", f"{repo}-a-b-2", f"{repo}-a.b"]


def test_origin_is_asked_for_the_branch_and_the_base(run: Run, repo: Path, tmp_path: Path) -> None:
    origin = with_origin(repo)
    git(tmp_path, "clone", "-q", str(origin), "other")
    git(tmp_path / "other", "checkout", "-q", "-b", "theirs")
    theirs = commit(tmp_path / "other", "theirs")
    git(tmp_path / "other", "checkout", "-q", "main")
    newer = commit(tmp_path / "other", "newer main")
    git(tmp_path / "other", "push", "-q", "origin", "theirs", "main")
    one = sessions(run, single(run, "--branch", "theirs").stdout.strip())[0]
    assert one["base_commit"] == theirs
    assert git(repo, "rev-parse", "--abbrev-ref", "theirs@{upstream}") == "origin/theirs"
    two = sessions(run, single(run, "--branch", "mine", "--base-branch", "main").stdout.strip())[0]
    assert two["base_commit"] == newer
    ours = commit(repo, "ours")
    done = single(run, "--branch", "third", "--base-branch", "main")
    assert sessions(run, done.stdout.strip())[0]["base_commit"] == ours
    assert "have diverged" in done.stderr
    git(tmp_path / "other", "checkout", "-q", "theirs")
    commit(tmp_path / "other", "more")
    git(tmp_path / "other", "push", "-q", "origin", "theirs")
    run("wait " + one["id"])
    assert "is 1 commit behind origin/theirs" in single(run, "--branch", "theirs").stderr


def test_without_its_origin_a_launch_takes_what_is_here(run: Run, repo: Path) -> None:
    git(repo, "remote", "add", "origin", str(repo.parent / "nowhere"))
    done = single(run, "--branch", "fix")
    assert "origin could not be reached" in done.stderr
    assert sessions(run, done.stdout.strip())[0]["base_commit"] == git(repo, "rev-parse", "HEAD")


def test_other_kinds_of_repositories(run: Run, repo: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", "site", "store.git")
    one = sessions(
        run, single(run, "--worktree", str(tmp_path / "store.git"), "--branch", "b").stdout.strip()
    )[0]
    assert (one["cwd"], one["repo"]) == (str(tmp_path / "store-b"), str(tmp_path / "store.git"))
    detached = commit(repo, "second")
    git(repo, "checkout", "-q", "--detach")
    one = sessions(run, single(run, "--branch", "c").stdout.strip())[0]
    assert one["base_commit"] == detached
    two = sessions(run, single(run, "--worktree", one["cwd"], "--branch", "d").stdout.strip())[0]
    assert (two["cwd"], two["repo"]) == (f"{repo}-d", str(repo))
    (tmp_path / "empty").mkdir()
    git(tmp_path / "empty", "init", "-q")
    assert "has no commits yet" in single(run, "--worktree", str(tmp_path / "empty"), exit=1).stderr


@pytest.mark.parametrize("name", ["with space", "new\nline", "ünï✓", "-dash", "quo'te\"$x"])
def test_repositories_of_any_name(
    run: Run, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTCTL_DEMO_PACE", "0")
    repo = make_repository(tmp_path / name)
    done = run(["launch", "-p", "x", "--wait", "--worktree", str(repo), *slots("a", "b")])
    found = sessions(run, *done.lines)
    assert {one["cwd"] for one in found} == {str(path) for path in worktrees(repo)}
    listed = run(["worktree", "list", str(repo), "--json"]).json()["worktrees"]
    assert {one["session_id"] for one in listed} == set(done.lines)
    run(["worktree", "clean", *done.lines, "--delete-branch"])
    assert (branches(repo), worktrees(repo)) == ({"main"}, [])


def test_a_worktree_is_held_like_any_directory(run: Run, repo: Path, wait_until: WaitUntil) -> None:
    first = run(["launch", "exec", "--branch", "b", *HANGING]).stdout.strip()
    assert (
        f"in use by session {first[:8]}" in run(["launch", "exec", "--branch", "b", *HANGING], exit=11).stderr
    )
    run(["stop", first])
    run(["launch", "exec", "--branch", "b", *HANGING])


def test_a_session_that_goes_on_keeps_its_worktree_and_its_base(run: Run, repo: Path) -> None:
    first = single(run, "--branch", "b", "--wait").stdout.strip()
    again = run(["rerun", first, "--wait"]).stdout.strip()
    one, two = sessions(run, first, again)
    for key in ("cwd", "branch", "repo", "base_commit"):
        assert one[key] == two[key]


def test_hooks_learn_of_branch_and_group(run: Run, repo: Path) -> None:
    hook = 'echo "$AGENTCTL_GROUP $AGENTCTL_BRANCH $PWD" > seen.log'
    for one in sessions(run, *run(["launch", "-p", "x", "--on-create", hook, *slots("a", "b")]).lines):
        assert Path(one["cwd"], "seen.log").read_text().split() == [one["group"], one["branch"], one["cwd"]]


def test_the_manifest_beside_a_session_has_what_rebuilding_needs(
    run: Run, repo: Path, sealed_home: Path
) -> None:
    session_id = single(run, "--branch", "b", "--wait").stdout.strip()
    written = json.loads((sealed_home / "sessions" / session_id / "session.json").read_bytes())["session"]
    assert (written["repo"], written["branch"]) == (str(repo), "b")
    assert os.path.isdir(written["cwd"])
