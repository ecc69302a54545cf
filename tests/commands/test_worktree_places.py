"""Worktrees of repositories of every shape: where they are, what they are called, when they are merged."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from agentctl.core.plan import worktree_path
from tests.conftest import Run
from tests.git_tools import branches, commit, git, make_repository, worktrees


def launch(run: Run, place: Path, branch: str) -> tuple[str, str]:
    """The directory of an agent in a new worktree, and what was said."""
    done = run(
        ["launch", "demo", "-p", "x", "--worktree", str(place), "--branch", branch, "--wait", "--json"]
    )
    return done.json()["sessions"][0]["cwd"], done.stderr


def test_of_a_submodule(run: Run, repo: Path, tmp_path: Path) -> None:
    make_repository(tmp_path / "inner")
    git(repo, "submodule", "--quiet", "add", str(tmp_path / "inner"), "lib")
    place, _ = launch(run, repo / "lib", "one")
    assert place == f"{repo}/lib-one"
    assert launch(run, Path(place), "two")[0] == f"{repo}/lib-two"
    assert launch(run, repo / "lib", "one")[0] == place, "used again"


def test_of_a_separate_git_directory(run: Run, tmp_path: Path) -> None:
    made = make_repository(tmp_path / "site")
    git(made, "init", "--quiet", "--separate-git-dir", str(tmp_path / "elsewhere.git"))
    place, _ = launch(run, made, "one")
    assert place == f"{made}-one"
    assert launch(run, Path(place), "two")[0] == f"{made}-two"
    run(["worktree", "clean", place, f"{made}-two"])
    assert worktrees(made) == []


def test_submodules_are_said_to_be_empty_and_are_no_obstacle(run: Run, repo: Path, tmp_path: Path) -> None:
    make_repository(tmp_path / "inner")
    git(repo, "submodule", "--quiet", "add", str(tmp_path / "inner"), "lib")
    commit(repo, "with a submodule")
    place, said = launch(run, repo, "one")
    assert f"its submodules are empty: git -C {place} submodule update --init fills them" in said
    run(["worktree", "clean", place])
    assert worktrees(repo) == []


def merge(repo: Path, branch: str, how: str) -> None:
    if how == "squash":
        git(repo, "merge", "--quiet", "--squash", branch)
        git(repo, "commit", "--quiet", "-m", "squashed")
    else:
        git(repo, "cherry-pick", f"main..{branch}")


@pytest.fixture
def place(run: Run, repo: Path) -> Path:
    """A worktree with two commits that change one file."""
    made = Path(launch(run, repo, "one")[0])
    for number in (1, 2):
        (made / "src" / "main").write_text(f"{number}\n")
        commit(made, f"change {number}")
    return made


@pytest.mark.parametrize("how", ["squash", "rebase"])
@pytest.mark.parametrize("later", ["nothing", "another file", "the same lines"])
def test_a_squashed_or_rebased_branch_is_merged(
    run: Run, repo: Path, place: Path, how: str, later: str
) -> None:
    commit(repo, "main has moved on")
    objects = git(repo, "count-objects")
    assert run("worktree list --json").json()["worktrees"][0]["merged"] is False
    assert git(repo, "count-objects") == objects, "a look writes nothing"
    merge(repo, "one", how)
    if later != "nothing":
        (repo / ("new" if later == "another file" else "src/main")).write_text("later\n")
        commit(repo, "later")
    assert run("worktree list --json").json()["worktrees"][0]["merged"] is True
    run("worktree clean --merged --delete-branch")
    assert (worktrees(repo), branches(repo)) == ([], {"main"})


def test_half_of_a_branch_or_a_reverted_one_is_not_merged(run: Run, repo: Path, place: Path) -> None:
    git(repo, "cherry-pick", "one~1")
    assert run("worktree list --json").json()["worktrees"][0]["merged"] is False
    git(repo, "reset", "--quiet", "--hard", "HEAD~1")
    git(place, "revert", "--no-edit", "HEAD")
    git(place, "revert", "--no-edit", "HEAD~2")
    assert run("worktree list --json").json()["worktrees"][0]["merged"] is False
    assert "commits that are on no other branch" in run(["worktree", "clean", str(place)], exit=11).stderr


def test_a_repository_of_another_owner_says_how_to_trust_it(run: Run, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("gives a directory away, which needs root")
    made = make_repository(tmp_path / "two words")
    os.chown(made, 65534, -1)
    os.chown(made / ".git", 65534, -1)
    words = ["launch", "demo", "-p", "x", "--worktree", str(made), "--branch", "b"]
    said = run(words, exit=1).stderr
    wanted = f"git config --global --add safe.directory {shlex.quote(str(made))}"
    assert wanted in said
    assert wanted in run(["worktree", "list", str(made)], exit=1).stderr


@pytest.mark.parametrize(
    ("branch", "name"),
    [
        ("задача/исправить", "задача-исправить"),
        ("修正/登录 页", "修正-登录-页"),
        ("हिन्दी", "हिन्दी"),
        ("cafe\u0301", "café"),
        ("ü..✓", "ü"),
        ("✓", "x"),
        ("\udcff", "x"),
        ("字" * 200, "字" * 53),
        ("plain/one", "plain-one"),
    ],
)
def test_a_branch_in_any_script_gives_a_readable_name(branch: str, name: str) -> None:
    assert worktree_path("/r", branch, lambda _: False) == f"/r-{name}"


def test_what_matches_only_in_another_repository_is_named_and_left(
    run: Run, repo: Path, tmp_path: Path
) -> None:
    """A person in the wrong directory is told so, not only that there is nothing to do."""
    place, _ = launch(run, repo, "one")
    elsewhere = make_repository(tmp_path / "elsewhere")
    done = run("worktree clean --merged", cwd=elsewhere)
    assert f"{place} is in another repository" in done.stderr
    assert f"--repo {shlex.quote(str(repo))}" in done.stderr
    assert worktrees(repo) == [Path(place)]
    assert run("worktree clean --merged --quiet", cwd=elsewhere).stdout == ""
    launch(run, elsewhere, "own")
    assert "another repository" not in run("worktree clean --merged", cwd=elsewhere).stderr
