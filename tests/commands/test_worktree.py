"""`agentctl worktree`: what is shown, what is refused with which evidence, what is saved and restored."""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agentctl.core.model import Held
from agentctl.host import flock
from agentctl.store import db as store
from agentctl.store import sessions
from tests.conftest import Outcome, Run, WaitUntil
from tests.git_tools import branches, commit, git, make_repository, with_origin, worktrees

ODD = ["plain", "with space", "new\nline", "-dash", "ünï✓", "quo'te\"", "tab\t", "dir/inner", "*", "\udcff"]


@pytest.fixture
def ended(run: Run, repo: Path, wait_until: WaitUntil) -> tuple[str, Path]:
    """A session that has ended, and its worktree, on branch `b`."""
    session_id = run("launch demo -p x --branch b --wait").stdout.strip()
    return session_id, Path(f"{repo}-b")


def shim_leaves(home: Path, session_id: str, wait_until: WaitUntil) -> None:
    """Until its finalising call is over: before, a prune keeps it."""
    lock = str(home / "sessions" / session_id / "lock")
    wait_until(lambda: flock.probe(lock) is Held.NO)


def listed(run: Run, *words: str) -> list[Any]:
    return list(run(["worktree", "list", *words, "--json"]).json()["worktrees"])


def clean(run: Run, *words: str, exit: int = 0) -> Outcome:  # noqa: A002
    return run(["worktree", "clean", *words], exit=exit)


def saved(repo: Path) -> list[str]:
    refs = git(repo, "for-each-ref", "--format=%(refname)", "refs/agentctl").splitlines()
    return [ref.removeprefix("refs/agentctl/salvage/") for ref in refs]


def contents(place: Path) -> dict[str, bytes | str]:
    """Every file and link below, but for git's own."""
    found: dict[str, bytes | str] = {}
    for root, names, files in os.walk(place):
        names[:] = [name for name in names if name != ".git"]
        for name in files:
            path = os.path.join(root, name)
            if name != ".git":
                key = os.path.relpath(path, place)
                found[key] = os.readlink(path) if os.path.islink(path) else Path(path).read_bytes()
    return found


def test_a_list_shows_what_a_removal_would_lose(run: Run, repo: Path, ended: tuple[str, Path]) -> None:
    session_id, place = ended
    (one,) = listed(run)
    assert (one["session_id"], one["branch"], one["path"]) == (session_id, "b", str(place))
    assert (one["changed"], one["untracked"], one["ahead"], one["unpushed"]) == ([], [], 0, 0)
    assert (one["status"], one["outcome"], one["merged"], one["obstacles"]) == (
        "stopped",
        "succeeded",
        True,
        [],
    )
    assert one["size_bytes"] > 0
    (place / "readme").write_text("changed")
    (place / "new").write_text("new")
    commit(place, "more")
    (place / "readme").unlink()
    (place / "other").write_text("new")
    (place / "x.log").write_text("ignored")
    (one,) = listed(run, str(repo))
    assert (one["changed"], one["untracked"]) == (["readme"], ["other"])
    assert (one["ahead"], one["unpushed"], one["merged"]) == (1, 1, False)
    table = run("worktree list").stdout
    assert "1 changed, 1 untracked, 1 ahead, 1 unpushed" in table
    assert run("worktree list -q").lines == [str(place)]


def test_a_list_of_a_place_without_repository_shows_what_agentctl_made(
    run: Run, repo: Path, ended: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(repo, "worktree", "add", "-q", "-b", "mine", str(tmp_path / "mine"))
    assert {one["branch"] for one in listed(run)} == {"b", "mine"}
    monkeypatch.chdir(tmp_path)
    assert [one["branch"] for one in listed(run)] == ["b"]
    assert run(["worktree", "list", str(tmp_path)], exit=10).stdout == ""
    repo.rename(tmp_path / "moved")
    gone = run("worktree list")
    assert gone.stdout == "" and "no such directory" in gone.stderr


def test_a_clean_worktree_goes_by_id_name_or_path(run: Run, repo: Path) -> None:
    ids = [
        run(["launch", "demo", "-p", "x", "--branch", name, "--name", f"n{name}", "--wait"]).stdout.strip()
        for name in ("a", "b", "c")
    ]
    clean(run, ids[0][:8])
    clean(run, "nb", "--delete-branch")
    told = clean(run, f"{repo}-c/src").stderr
    assert f"worktree {repo}-c removed" in told
    assert worktrees(repo) == []
    assert branches(repo) == {"main", "a", "c"}
    assert saved(repo) == []
    assert "no longer exists" in clean(run, ids[0]).stderr


def refused(run: Run, place: Path, *words: str) -> str:
    done = clean(run, str(place), *words, exit=11)
    assert place.is_dir()
    return done.stderr


def test_changed_files_are_not_lost(run: Run, repo: Path, ended: tuple[str, Path]) -> None:
    (ended[1] / "readme").write_text("changed")
    assert "1 changed: readme" in refused(run, ended[1])
    git(ended[1], "add", "--all")
    assert "1 changed: readme" in refused(run, ended[1], "--delete-branch")
    (ended[1] / "readme").write_text("hello\n")
    assert "1 changed: readme" in refused(run, ended[1])


@pytest.mark.parametrize("name", ODD)
def test_untracked_files_are_not_lost(run: Run, repo: Path, ended: tuple[str, Path], name: str) -> None:
    (ended[1] / name).parent.mkdir(exist_ok=True)
    (ended[1] / name).write_text("new")
    assert "1 untracked: " in refused(run, ended[1])
    git(ended[1], "config", "status.showUntrackedFiles", "no")
    assert "1 untracked: " in refused(run, ended[1])


def test_many_files_are_counted_and_a_few_named(run: Run, repo: Path, ended: tuple[str, Path]) -> None:
    for number in range(9):
        (ended[1] / f"f{number}").write_text("")
    assert "9 untracked: f0, f1, f2 and 6 more" in refused(run, ended[1])


def test_ignored_files_stop_nothing(run: Run, repo: Path, ended: tuple[str, Path]) -> None:
    (ended[1] / "x.log").write_text("ignored")
    clean(run, str(ended[1]))
    assert not ended[1].exists()


def test_commits_that_are_nowhere_else_are_not_lost(run: Run, repo: Path, ended: tuple[str, Path]) -> None:
    origin = with_origin(repo)
    commit(ended[1], "one")
    commit(ended[1], "two")
    assert "2 commits that are on no other branch and no remote" in refused(run, ended[1], "--delete-branch")
    git(ended[1], "push", "-q", "origin", "b")
    assert origin.exists()
    clean(run, str(ended[1]), "--delete-branch")
    assert branches(repo) == {"main"}


def test_a_detached_commit_is_not_lost(run: Run, repo: Path, ended: tuple[str, Path]) -> None:
    git(ended[1], "checkout", "-q", "--detach")
    head = commit(ended[1], "loose")
    assert "1 commit that is on no other branch" in refused(run, ended[1])
    git(repo, "branch", "kept", head)
    clean(run, str(ended[1]))


def test_a_branch_that_only_a_detached_head_has_is_kept(
    run: Run, repo: Path, ended: tuple[str, Path]
) -> None:
    commit(ended[1], "mine")
    git(repo, "checkout", "-q", "--detach", "b")
    told = clean(run, str(ended[1]), "--delete-branch").stderr
    assert "branch b was kept: its commits are on no other branch and no remote" in told
    assert not ended[1].exists() and branches(repo) == {"main", "b"}


def test_a_merge_that_is_under_way_is_not_lost(run: Run, repo: Path, ended: tuple[str, Path]) -> None:
    git(repo, "checkout", "-q", "-b", "theirs")
    commit(repo, "theirs")
    git(repo, "checkout", "-q", "main")
    git(ended[1], "merge", "-q", "--no-ff", "--no-commit", "theirs")
    assert "a merge is in progress" in refused(run, ended[1])


def test_a_worktree_with_a_process_in_it_stays(run: Run, repo: Path, ended: tuple[str, Path]) -> None:
    with subprocess.Popen(["sleep", "120"], cwd=ended[1] / "src") as process:
        try:
            assert f"in use by process {process.pid} (sleep)" in refused(run, ended[1])
            (one,) = listed(run)
            assert one["pids"] == [process.pid]
        finally:
            process.kill()
    clean(run, str(ended[1]))


def test_a_session_at_work_is_refused_even_with_force(run: Run, repo: Path) -> None:
    session_id = run(["launch", "exec", "--branch", "b", "--", "sleep", "300"]).stdout.strip()
    place = Path(f"{repo}-b")
    for words in ([], ["--force"]):
        told = refused(run, place, *words)
        assert f"session {session_id[:8]} is running in it" in told
        assert f"agentctl stop {session_id[:8]}" in told
    run(["stop", session_id])
    clean(run, session_id)


def test_a_locked_worktree_is_refused_even_with_force(run: Run, repo: Path, ended: tuple[str, Path]) -> None:
    git(repo, "worktree", "lock", "--reason", "on a stick", str(ended[1]))
    assert "git worktree lock (on a stick)" in refused(run, ended[1], "--force")
    git(repo, "worktree", "unlock", str(ended[1]))
    run(["lock", str(ended[1]), "--by", "ann"])
    assert "locked by ann" in refused(run, ended[1], "--force")
    run(["unlock", str(ended[1])])
    clean(run, str(ended[1]))


def test_what_cannot_be_saved_is_refused_even_with_force(
    run: Run, repo: Path, ended: tuple[str, Path], tmp_path: Path
) -> None:
    make_repository(ended[1] / "nested")
    assert "it contains another repository" in refused(run, ended[1], "--force")
    (ended[1] / "nested").rename(tmp_path / "nested")
    git(ended[1], "submodule", "--quiet", "add", str(tmp_path / "nested"), "sub")
    assert "it has submodules" in refused(run, ended[1], "--force")


def test_a_worktree_with_another_one_in_it_stays(run: Run, repo: Path, ended: tuple[str, Path]) -> None:
    (ended[1] / ".gitignore").write_text(".trees/\n")
    commit(ended[1], "ignore")
    inner = ended[1] / ".trees" / "inner"
    git(ended[1], "worktree", "add", "-q", "-b", "inner", str(inner))
    (inner / "new").write_text("x")
    assert "it contains another worktree: .trees/inner" in refused(run, ended[1], "--force")
    assert (inner / "new").exists()
    clean(run, str(inner), "--force")
    clean(run, ended[0], "--force")
    assert worktrees(repo) == []


def test_a_worktree_that_was_moved_is_found_by_its_session(
    run: Run, repo: Path, ended: tuple[str, Path], tmp_path: Path
) -> None:
    git(repo, "worktree", "move", str(ended[1]), str(tmp_path / "moved"))
    clean(run, ended[0])
    assert worktrees(repo) == []


def test_the_main_worktree_and_other_directories_are_no_targets(run: Run, repo: Path, tmp_path: Path) -> None:
    assert "is not a linked worktree" in clean(run, ".", exit=2).stderr
    assert "is not in a git repository" in clean(run, str(tmp_path), exit=10).stderr
    assert "not found" in clean(run, "./nowhere", exit=10).stderr
    plain = run("launch exec -- true").stdout.strip()
    assert "did not run in a worktree" in clean(run, plain, exit=2).stderr
    assert "no session nope" in clean(run, "nope", exit=10).stderr
    for words in ([], ["--force"], ["x", "--group", "g"], ["--group", "g-0a1b2c", "--repo", "."]):
        clean(run, *words, exit=2)


def test_force_saves_everything_first_and_restore_brings_it_back(
    run: Run, repo: Path, ended: tuple[str, Path]
) -> None:
    session_id, place = ended
    head = commit(place, "committed")
    for name in ODD:
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(os.fsencode(f"content of {name}"))
    (place / "readme").unlink()
    (place / "src" / "main").write_bytes(b"\x00binary\r\n")
    (place / "link").symlink_to("nowhere")
    (place / "run").write_text("#!/bin/sh\n")
    (place / "run").chmod(0o755)
    (place / "plain").write_text("staged, but not what is there now")
    git(place, "add", "plain")
    (place / "plain").write_bytes(b"content of plain")
    before, status = contents(place), git(place, "status", "--porcelain", "-z", "--untracked-files=all")
    told = clean(run, session_id, "--force", "--delete-branch").stderr
    assert f"agentctl worktree restore {session_id} brings it back" in told
    assert not place.exists() and branches(repo) == {"main"}
    assert saved(repo) == [session_id]
    assert git(repo, "rev-parse", f"refs/agentctl/salvage/{session_id}^") == head

    done = run(["worktree", "restore", session_id[:8]])
    assert done.lines == [str(place)]
    assert contents(place) == before
    assert os.access(place / "run", os.X_OK)
    assert git(place, "rev-parse", "--abbrev-ref", "HEAD") == "b"
    assert git(place, "rev-parse", "HEAD") == head
    assert git(place, "status", "--porcelain", "-z", "--untracked-files=all") == status
    assert git(place, "show", ":plain") == "staged, but not what is there now"
    assert saved(repo) == []
    assert "no saved state" in run(["worktree", "restore", session_id], exit=10).stderr


@pytest.mark.parametrize("flag", ["--skip-worktree", "--assume-unchanged"])
def test_files_that_git_was_told_not_to_look_at_are_not_lost(
    run: Run, repo: Path, ended: tuple[str, Path], flag: str
) -> None:
    session_id, place = ended
    git(place, "update-index", flag, "readme", "src/main")
    assert listed(run)[0]["changed"] == []
    (place / "readme").write_text("of this machine\n")
    assert "1 changed: readme" in refused(run, place)
    clean(run, session_id, "--force")
    run(["worktree", "restore", session_id])
    assert (place / "readme").read_text() == "of this machine\n"


def test_a_look_runs_nothing_that_the_repository_names(
    run: Run, repo: Path, ended: tuple[str, Path], tmp_path: Path
) -> None:
    place = ended[1]
    git(place, "update-index", "--skip-worktree", "readme")
    trap = tmp_path / "trap"
    trap.write_text(f'#!/bin/sh\necho "$0" >> {tmp_path}/sprung\n')
    trap.chmod(0o755)
    hook = repo / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.symlink_to(trap)
    git(repo, "config", "core.fsmonitor", str(trap))
    (place / "readme").write_text("of this machine\n")
    (tmp_path / "sprung").unlink(missing_ok=True)
    assert listed(run)[0]["changed"] == ["readme"]
    refused(run, place)
    assert not (tmp_path / "sprung").exists()


def test_files_outside_of_a_sparse_checkout_are_not_lost(
    run: Run, repo: Path, ended: tuple[str, Path]
) -> None:
    session_id, place = ended
    git(place, "sparse-checkout", "set", "nothing")
    (place / "src").mkdir()
    (place / "src" / "new").write_text("x")
    clean(run, session_id, "--force")
    ref = f"refs/agentctl/salvage/{session_id}"
    assert {"src/main", "src/new"} <= set(git(repo, "ls-tree", "-r", "--name-only", ref).split())
    run(["worktree", "restore", session_id])
    assert (place / "src" / "new").read_text() == "x"


def test_a_branch_without_commits_is_restored_without_commits(
    run: Run, repo: Path, ended: tuple[str, Path]
) -> None:
    session_id, place = ended
    git(place, "checkout", "-q", "--orphan", "fresh")
    (place / "new").write_text("x")
    status = git(place, "status", "--porcelain", "--branch")
    told = clean(run, session_id, "--force", "--delete-branch").stderr
    assert "failed" not in told
    run(["worktree", "restore", session_id])
    assert git(place, "status", "--porcelain", "--branch").splitlines()[0] == status.splitlines()[0]
    assert "A  new" in git(place, "status", "--porcelain")
    assert "fresh" not in branches(repo)


def test_what_was_saved_before_is_not_overwritten(run: Run, repo: Path, ended: tuple[str, Path]) -> None:
    session_id, place = ended
    (place / "new").write_text("1")
    clean(run, session_id, "--force")
    git(repo, "worktree", "add", "-q", str(place), "b")
    (place / "new").write_text("2")
    clean(run, session_id, "--force")
    assert saved(repo) == [session_id, f"{session_id}-2"]
    run(["worktree", "restore", f"{session_id}-2", "--repo", "."])
    assert (place / "new").read_text() == "2"


def test_a_branch_that_went_on_keeps_its_commits_when_a_state_is_restored(
    run: Run, repo: Path, ended: tuple[str, Path]
) -> None:
    session_id, place = ended
    (place / "new").write_text("1")
    clean(run, session_id, "--force")
    git(repo, "branch", "-f", "b", commit(repo, "other"))
    (place).mkdir()
    done = run(["worktree", "restore", session_id])
    assert "has moved" in done.stderr and "already exists" in done.stderr
    assert done.lines == [f"{place}-2"]
    assert Path(f"{place}-2", "new").read_text() == "1"


def test_a_state_is_found_without_its_session(run: Run, repo: Path, tmp_path: Path) -> None:
    git(repo, "worktree", "add", "-q", "-b", "mine", str(tmp_path / "my tree"))
    (tmp_path / "my tree" / "new").write_text("1")
    assert "restore my-tree brings" in clean(run, str(tmp_path / "my tree"), "--force").stderr
    run("worktree restore my-tree")
    assert (tmp_path / "my tree" / "new").read_text() == "1"
    assert "agentctl worktree clean --force" in run("worktree restore nope", exit=10).stderr


def test_a_restored_worktree_is_still_known_as_ours(
    run: Run, repo: Path, sealed_home: Path, ended: tuple[str, Path], wait_until: WaitUntil
) -> None:
    session_id, place = ended
    (place / "new").write_text("x")
    clean(run, session_id, "--force")
    shim_leaves(sealed_home, session_id, wait_until)
    run("prune --older-than 0s")
    place.mkdir()
    elsewhere = Path(run(["worktree", "restore", session_id, "--repo", str(repo)]).stdout.strip())
    assert elsewhere != place
    assert listed(run)[0]["session_id"] == session_id
    clean(run, "--merged", "--force")
    assert not elsewhere.exists()
    assert saved(repo) == [session_id]


def test_force_on_nothing_to_lose_saves_nothing(run: Run, repo: Path, ended: tuple[str, Path]) -> None:
    clean(run, ended[0], "--force")
    assert saved(repo) == []


def test_a_state_that_cannot_be_saved_is_not_removed(run: Run, repo: Path, ended: tuple[str, Path]) -> None:
    (ended[1] / "new").write_text("x")
    lock = repo / ".git" / "refs" / "agentctl"
    lock.write_text("in the way")
    told = refused(run, ended[1], "--force")
    assert "git update-ref failed" in told
    assert (ended[1] / "new").exists()


def test_a_dry_run_removes_nothing_and_says_all(run: Run, repo: Path, ended: tuple[str, Path]) -> None:
    done = run(["worktree", "clean", ended[0], "--dry-run", "--json"]).json()
    assert (done["dry_run"], done["worktrees"][0]["removed"], done["worktrees"][0]["refused"]) == (
        True,
        False,
        [],
    )
    (ended[1] / "new").write_text("x")
    clean(run, ended[0], "--dry-run", exit=11)
    clean(run, ended[0], "--dry-run", "--force")
    assert ended[1].is_dir() and saved(repo) == []


def test_only_what_fits_goes(run: Run, repo: Path, tmp_path: Path, sealed_home: Path) -> None:
    ids = {}
    for name in ("old", "young", "ahead", "dirty"):
        ids[name] = run(["launch", "demo", "-p", "x", "--branch", name, "--wait"]).stdout.strip()
    for name in ("old", "ahead", "dirty"):
        _age(sealed_home, ids[name], timedelta(days=8))
    commit(Path(f"{repo}-ahead"), "more")
    Path(f"{repo}-dirty", "new").write_text("x")
    git(repo, "worktree", "add", "-q", "-b", "mine", str(tmp_path / "mine"))
    done = clean(run, "--merged", "--older-than", "7d", "--delete-branch", exit=3)
    assert "1 untracked: new" in done.stderr
    assert branches(repo) == {"main", "young", "ahead", "dirty", "mine"}
    git(repo, "merge", "-q", "ahead")
    clean(run, "--merged", "--repo", str(repo), "--older-than", "7d", exit=3)
    assert {path.name for path in worktrees(repo)} == {"site-young", "site-dirty", "mine"}
    assert "was used more recently" in clean(run, ids["young"], "--older-than", "1h").stderr
    assert "has commits that are not merged" not in clean(run, ids["young"], "--merged").stderr


def _age(home: Path, session_id: str, ago: timedelta) -> None:
    db = store.connect(str(home / "agentctl.db"), busy=timedelta(seconds=5))
    with store.transaction(db):
        row = sessions.get(db, session_id)
        assert row is not None and row.ended_at is not None
        assert sessions.update(db, row._replace(ended_at=row.ended_at - ago)) is not None
    db.close()


def test_all_that_fit_are_without_those_at_work(run: Run, repo: Path) -> None:
    run(["launch", "exec", "--branch", "busy", "--", "sleep", "300"])
    run(["launch", "demo", "-p", "x", "--branch", "done", "--wait"])
    assert "busy" not in clean(run, "--merged").stderr
    assert worktrees(repo) == [Path(f"{repo}-busy")]


def test_conflicts_and_sparse_checkouts_are_saved_as_they_are(
    run: Run, repo: Path, ended: tuple[str, Path]
) -> None:
    session_id, place = ended
    git(place, "sparse-checkout", "set", "nothing")
    assert not (place / "src").exists()
    (place / "new").write_text("x")
    clean(run, session_id, "--force")
    ref = f"refs/agentctl/salvage/{session_id}"
    assert git(repo, "ls-tree", "-r", "--name-only", ref).split() == [
        ".gitignore",
        "new",
        "readme",
        "src/main",
    ]
    run(["worktree", "restore", session_id])
    git(place, "sparse-checkout", "disable")
    (repo / "readme").write_text("ours\n")
    commit(repo, "ours")
    (place / "readme").write_text("theirs\n")
    commit(place, "theirs")
    git(place, "merge", "main", check=False)
    assert "<<<<<<<" in (place / "readme").read_text()
    clean(run, session_id, "--force")
    assert "<<<<<<<" in git(repo, "show", f"{ref}:readme")


def test_a_group_is_cleaned_at_once(run: Run, repo: Path) -> None:
    words = ["launch", "-p", "x", "--wait", "--json", "--adapter", "demo", "--adapter", "demo"]
    group = run(words).json()["group"]
    clean(run, "--group", group, "--delete-branch")
    assert (branches(repo), worktrees(repo)) == ({"main"}, [])


def test_a_missing_directory_is_shown_and_cleaned(run: Run, repo: Path, ended: tuple[str, Path]) -> None:
    for path in sorted(ended[1].rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    ended[1].rmdir()
    (one,) = listed(run)
    assert one["missing"] is True
    clean(run, ended[0])
    assert worktrees(repo) == []


def test_a_resume_without_its_worktree_says_how_to_get_it_back(
    run: Run, repo: Path, ended: tuple[str, Path]
) -> None:
    clean(run, ended[0])
    told = run(["rerun", ended[0]], exit=2).stderr
    assert f"git -C {repo} worktree add {ended[1]} b" in told


def test_prune_takes_worktrees_along_where_nothing_would_be_lost(
    run: Run, repo: Path, sealed_home: Path, wait_until: WaitUntil
) -> None:
    words = ["launch", "-p", "x", "--wait", "--adapter", "demo", "--model", "a", "--adapter", "demo"]
    clean_one, dirty = run(words).lines
    for one in (clean_one, dirty):
        shim_leaves(sealed_home, one, wait_until)
    places = {one["session_id"]: Path(one["path"]) for one in listed(run)}
    (places[dirty] / "new").write_text("x")
    done = run("prune --older-than 0 --worktrees --dry-run --json").json()
    assert done["worktrees"] == [str(places[clean_one])] and places[clean_one].is_dir()
    done = run("prune --older-than 0 --worktrees --json").json()
    assert done["forgotten"] == [clean_one]
    assert [one["id"] for one in done["kept"]] == [dirty] and "1 untracked: new" in done["kept"][0]["reason"]
    assert worktrees(repo) == [places[dirty]]
    assert len(branches(repo)) == 2


def test_a_worktree_whose_session_is_forgotten_is_still_known_as_ours(
    run: Run, repo: Path, ended: tuple[str, Path], sealed_home: Path, wait_until: WaitUntil
) -> None:
    shim_leaves(sealed_home, ended[0], wait_until)
    run("prune --older-than 0")
    (one,) = listed(run)
    assert (one["session_id"], one["status"], one["ahead"]) == (ended[0], None, 0)
    clean(run, "--merged")
    assert worktrees(repo) == []


def test_completion_offers_sessions_and_paths_of_worktrees(
    run: Run, ended: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from agentctl.commands import _complete

    assert {item.value for item in _complete.items("worktrees", "")} == {ended[0], str(ended[1])}
    clean(run, ended[0])
    assert _complete.items("worktrees", "") == []
