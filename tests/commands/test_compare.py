"""`agentctl compare`: real sessions in real worktrees, looked at after the fact."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agentctl.core.model import Tokens
from agentctl.store import db as store
from agentctl.store import sessions
from tests.git_tools import commit, git

Run = Callable[..., Any]
Wait = Callable[..., Any]
Launch = Callable[..., str]

GROUP = "g-a1b2c3"

ODD = ["new\nline", "quo'te\"", "tab\tname", "-dash", "ünï✓", "end ", "\udcff"]
"""Names that git prints in quotes, or that look like something else."""

SHOWN = [name.replace("\udcff", "\N{REPLACEMENT CHARACTER}") for name in ODD]
"""The same as JSON has them, which knows no bytes."""


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with two files of ten lines on `main`."""
    made = tmp_path / "repo"
    made.mkdir()
    git(made, "init", "-q", "-b", "main")
    for name in ("a.py", "b.py"):
        (made / name).write_text("".join(f"{number}\n" for number in range(10)))
    (made / ".gitignore").write_text("*.o\n")
    commit(made, "x")
    return made


@pytest.fixture
def launch(run: Run, repo: Path, sealed_home: Path, wait_until: Wait) -> Launch:
    """Run a shell text as a session in a new worktree of its own, in the group; its id."""

    def start(
        branch: str, text: str, *, hook: str = "", cwd: Path | None = None, code: int = 0, **columns: Any
    ) -> str:
        place = cwd or repo.parent / branch
        if cwd is None:
            git(repo, "worktree", "add", "-q", "-b", branch, str(place))
        hooks = ["--on-complete", hook] if hook else []
        words = ["launch", "exec", "--settle", "0s", "--wait", "--force", "--cwd", str(place), *hooks]
        session: str = run([*words, "--", "sh", "-c", text], exit=code).lines[0]
        if hook:
            wait_until(
                lambda: run(f"hooks list --json {session}").json()["deliveries"][0]["state"] != "pending"
            )
        db = store.connect(str(sealed_home / "agentctl.db"), busy=timedelta(seconds=30))
        with store.transaction(db):
            row = sessions.get(db, session)
            assert row is not None
            assert sessions.update(db, row._replace(group=GROUP, branch=branch, **columns))
        db.close()
        return session

    return start


def told(run: Run, words: str = GROUP, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = run(f"compare {words} --json", exit=code).json()
    return found


def files(sibling: dict[str, Any]) -> dict[str, tuple[int | None, int | None]]:
    return {one["path"]: (one["added"], one["deleted"]) for one in sibling["changes"]["files"]}


COMMIT = "git -c user.name=T -c user.email=t@example.org commit -q"


def test_everything_that_differs_is_counted_however_far_it_got(run: Run, repo: Path, launch: Launch) -> None:
    base = git(repo, "rev-parse", "HEAD")
    launch(
        "one",
        f"echo committed >> a.py; {COMMIT} -am x; echo staged >> b.py; git add b.py; echo dirty >> b.py;"
        "printf 'new\\nlines' > new.txt; mkdir sub; echo x > 'sub/with space'; echo > ignored.o",
    )
    launch("two", f"git rm -q b.py; {COMMIT} -m x; head -c 99 /dev/zero > bin; ln -s /nowhere link")
    before = {name: git(repo.parent / name, "status", "--porcelain") for name in ("one", "two")}
    one, two = told(run)["sessions"]
    assert files(one) == {"a.py": (1, 0), "b.py": (2, 0), "new.txt": (2, 0), "sub/with space": (1, 0)}
    assert files(two) == {"b.py": (0, 10), "bin": (None, None), "link": (1, 0)}
    assert (one["changes"]["base"], one["changes"]["notes"]) == (base, [])
    assert (one["changes"]["added"], two["changes"]["deleted"]) == (6, 10)
    assert {name: git(repo.parent / name, "status", "--porcelain") for name in ("one", "two")} == before


def test_odd_names_of_files_are_told_as_they_are(run: Run, repo: Path, launch: Launch) -> None:
    """Committed, uncommitted, untracked and saved: git quotes such names unless it is asked not to."""
    for branch in ("committed", "staged", "untracked"):
        launch(branch, "true", repo=str(repo))
        for name in ODD:
            (repo.parent / branch / name).write_text(f"{branch}\n")
    commit(repo.parent / "committed", "x")
    git(repo.parent / "staged", "add", "--all")
    comparison = told(run)
    for sibling in comparison["sessions"]:
        assert files(sibling) == dict.fromkeys(SHOWN, (1, 0))
    assert [one["path"] for one in comparison["shared_files"]] == sorted(SHOWN)
    shown = run(f"compare {GROUP}").stdout
    assert "new line" in shown and "tab name" in shown
    run(["worktree", "clean", "--force", str(repo.parent / "untracked")])
    assert files(told(run)["sessions"][2]) == dict.fromkeys(SHOWN, (1, 0))


@pytest.mark.parametrize("name", ["new\nline", "tab\tname", "end ", "quo'te\"", "-dash", "\udcff"])
def test_a_repository_with_an_odd_name_has_a_main_worktree(
    run: Run, repo: Path, launch: Launch, name: str
) -> None:
    """Without a recorded base the main worktree's commit is compared, wherever that is."""
    place = repo.parent / "odd" / name
    place.parent.mkdir()
    repo.rename(place)
    git(place, "worktree", "add", "-q", "-b", "one", str(place.parent / f"{name}-one"))
    launch("one", f"echo x >> a.py; {COMMIT} -am x", cwd=place.parent / f"{name}-one")
    launch("main", "echo y >> b.py", cwd=place)
    one, main = told(run)["sessions"]
    assert (files(one), one["changes"]["notes"]) == ({"a.py": (1, 0)}, [])
    assert files(main) == {"b.py": (1, 0)}
    assert "its base is not known" in main["changes"]["notes"][0]


def test_files_that_several_touched_are_named(run: Run, repo: Path, launch: Launch) -> None:
    one = launch("one", "echo x >> a.py; echo x > same.txt")
    two = launch("two", f"echo y >> a.py; {COMMIT} -am y")
    three = launch("three", "echo z > same.txt; echo > only")
    assert told(run)["shared_files"] == [
        {"path": "a.py", "sessions": [one, two]},
        {"path": "same.txt", "sessions": [one, three]},
    ]
    shown = run(f"compare {GROUP}").stdout
    assert f"a.py                {one[:8]} {two[:8]}" in shown


def test_the_table_shows_who_did_what(run: Run, launch: Launch) -> None:
    numbers = {"model": "m-1", "tokens": Tokens(input=1200, output=34), "cost_usd": 0.25}
    launch("one", "echo x >> a.py", hook="echo; echo 41 passed", **numbers)
    launch("two", "exit 3", hook="echo '1 failed'; exit 1", code=1)
    outcome = run(f"compare {GROUP}")
    header, first, second = outcome.lines[:3]
    assert header.split() == [
        "ID", "ADAPTER", "MODEL", "BRANCH", "OUTCOME", "TOOK", "TOKENS", "COST", "CHANGES", "HOOK",
    ]  # fmt: skip
    for text in (
        "exec",
        "m-1",
        "one",
        "succeeded",
        "1,200/34",
        "$0.2500",
        "+1 -0 in 1 file",
        "ok: 41 passed",
    ):
        assert text in first
    for text in ("two", "failed", "none", "exit 1: 1 failed"):
        assert text in second
    one, two = told(run)["sessions"]
    assert one["hook"] == {"state": "done", "exit_code": 0, "error": None, "last_line": "41 passed"}
    assert two["hook"] == {"state": "failed", "exit_code": 1, "error": "exit 1", "last_line": "1 failed"}
    assert two["exit_code"] == 3
    assert (one["tokens"]["input"], one["cost_usd"]) == (1200, 0.25)


def test_commits_that_came_to_the_base_later_are_not_theirs(run: Run, repo: Path, launch: Launch) -> None:
    launch("one", "echo x >> a.py")
    (repo / "later.py").write_text("x\n")
    commit(repo, "x")
    assert list(files(told(run)["sessions"][0])) == ["a.py"]


def test_another_base_can_be_named(run: Run, repo: Path, launch: Launch) -> None:
    (repo / "a.py").write_text("")
    git(repo, "tag", "before", "HEAD")
    commit(repo, "x")
    launch("one", "echo x >> b.py")
    assert list(files(told(run)["sessions"][0])) == ["b.py"]
    assert list(files(told(run, f"{GROUP} --base before")["sessions"][0])) == ["a.py", "b.py"]
    outcome = run(f"compare {GROUP} --base nothing --json", exit=10)
    assert "no commit nothing in" in outcome.error()["message"]
    for wrong in ("--base=-x", "--base="):
        run(["compare", GROUP, wrong], exit=2)


def test_a_worktree_that_is_gone_is_told_of_by_its_branch(run: Run, repo: Path, launch: Launch) -> None:
    launch("one", f"echo x >> a.py; {COMMIT} -am x; echo lost > lost")
    launch("two", "echo y >> b.py")
    git(repo, "worktree", "remove", "--force", str(repo.parent / "one"))
    one, two = told(run)["sessions"]
    assert files(one) == {"a.py": (1, 0)}
    assert "its commits are shown" in one["changes"]["notes"][0]
    assert files(two) == {"b.py": (1, 0)}


@pytest.mark.parametrize("further", [[], ["--delete-branch"]])
def test_a_worktree_that_was_removed_by_force_is_told_of_by_its_saved_state(
    run: Run, repo: Path, launch: Launch, further: list[str]
) -> None:
    session = launch("one", f"echo x >> a.py; {COMMIT} -am x; echo new > new", repo=str(repo))
    launch("two", "echo y >> b.py")
    run(["worktree", "clean", "--force", session, *further])
    one, _ = told(run)["sessions"]
    assert files(one) == {"a.py": (1, 0), "new": (1, 0)}
    assert "its worktree is gone: its saved state is shown" in one["changes"]["notes"]


def test_a_branch_that_went_on_after_a_state_was_saved_is_told_of(
    run: Run, repo: Path, launch: Launch
) -> None:
    session = launch("one", "echo new > new", repo=str(repo))
    launch("two", "true")
    run(["worktree", "clean", "--force", session])
    git(repo, "checkout", "-q", "one")
    (repo / "b.py").write_text("")
    commit(repo, "x")
    git(repo, "checkout", "-q", "main")
    assert files(told(run)["sessions"][0]) == {"b.py": (0, 10)}


def test_what_is_no_longer_there_or_never_was_git_says_so(
    run: Run, repo: Path, launch: Launch, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    launch("one", "echo x >> a.py", hook="echo fine")
    launch("none", "true", cwd=plain)
    one, none = told(run)["sessions"]
    assert (none["changes"], none["changes_missing"]) == (None, "not in a git repository")
    shutil.rmtree(repo.parent / "one")
    shutil.rmtree(repo)
    one, none = told(run)["sessions"]
    assert (one["changes"], one["changes_missing"]) == (None, "no longer there")
    assert one["hook"]["last_line"] == "fine"
    assert "no longer there" in run(f"compare {GROUP}").stderr


def test_a_branch_that_was_deleted_is_no_longer_there(run: Run, repo: Path, launch: Launch) -> None:
    launch("one", "true")
    launch("two", "echo y >> b.py")
    git(repo, "worktree", "remove", str(repo.parent / "one"))
    git(repo, "branch", "-D", "one")
    assert told(run)["sessions"][0]["changes_missing"] == "no longer there"


def test_a_worktree_that_moved_to_another_branch_says_so(run: Run, repo: Path, launch: Launch) -> None:
    launch("one", "true")
    git(repo.parent / "one", "checkout", "-q", "-b", "elsewhere")
    assert told(run)["sessions"][0]["changes"]["notes"] == ["its worktree is on elsewhere now, not on one"]
    git(repo.parent / "one", "checkout", "-q", "--detach")
    assert "on no branch now" in told(run)["sessions"][0]["changes"]["notes"][0]


def test_siblings_in_one_directory_cannot_be_told_apart(run: Run, repo: Path, launch: Launch) -> None:
    one = launch("main", "echo x >> a.py", cwd=repo)
    launch("main", "mkdir -p sub; echo y >> b.py", cwd=repo)
    comparison = told(run)
    first, second = comparison["sessions"]
    assert files(first) == files(second) == {"a.py": (1, 0), "b.py": (1, 0)}
    assert any(f"shares its directory with {one[:8]}" in note for note in second["changes"]["notes"])
    assert any("its base is not known" in note for note in first["changes"]["notes"])
    assert comparison["shared_files"] == []


def test_a_repository_without_commits_and_a_bare_one(
    run: Run, repo: Path, launch: Launch, tmp_path: Path
) -> None:
    young = tmp_path / "young"
    young.mkdir()
    git(young, "init", "-q", "-b", "main")
    launch("main", "echo x > staged; git add staged; echo y > untracked", cwd=young)
    assert files(told(run)["sessions"][0]) == {"staged": (1, 0), "untracked": (1, 0)}
    git(tmp_path, "clone", "-q", "--bare", str(repo), "bare.git")
    git(tmp_path / "bare.git", "worktree", "add", "-q", "-b", "of-bare", str(tmp_path / "of-bare"))
    launch("of-bare", f"echo x >> a.py; {COMMIT} -am x", cwd=tmp_path / "of-bare")
    assert files(told(run)["sessions"][1]) == {"a.py": (1, 0)}


def test_a_repository_that_git_cannot_read_is_named_and_the_others_shown(
    run: Run, repo: Path, launch: Launch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    git(broken, "init", "-q", "-b", "main")
    launch("main", "true", cwd=broken)
    launch("two", "echo y >> b.py")
    (broken / ".git" / "config").write_text("[core\n")
    comparison = told(run, code=3)
    first, second = comparison["sessions"]
    assert "bad config line" in first["changes_missing"]
    assert files(second) == {"b.py": (1, 0)}


def test_without_git_the_rest_is_shown(run: Run, launch: Launch, tmp_path: Path) -> None:
    launch("one", "echo x >> a.py")
    (tmp_path / "empty").mkdir()
    outcome = run(f"compare {GROUP}", exit=3, env={"PATH": str(tmp_path / "empty")})
    assert "succeeded" in outcome.stdout
    assert "git: command not found" in outcome.stderr


def test_programs_named_by_the_repository_are_not_run(
    run: Run, repo: Path, launch: Launch, tmp_path: Path
) -> None:
    trap = tmp_path / "trap"
    trap.write_text(f'#!/bin/sh\ntouch {tmp_path}/sprung\ncat "$@"\n')
    trap.chmod(0o755)
    launch("one", "echo x >> a.py; echo '*.py diff=trap' > .gitattributes")
    hook = repo / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.symlink_to(trap)
    for key in ("core.fsmonitor", "diff.external", "diff.trap.command", "diff.trap.textconv", "core.pager"):
        git(repo, "config", key, str(trap))
    (tmp_path / "sprung").unlink(missing_ok=True)
    assert files(told(run)["sessions"][0]) == {".gitattributes": (1, 0), "a.py": (1, 0)}
    assert not (tmp_path / "sprung").exists()


def test_a_live_sibling_is_looked_at_without_a_lock(
    run: Run, repo: Path, launch: Launch, wait_until: Wait
) -> None:
    place = repo.parent / "one"
    launch("one", "echo x >> a.py")
    lock = Path(git(place, "rev-parse", "--absolute-git-dir")) / "index.lock"
    lock.touch()  # what the agent's own git holds while it commits
    assert files(told(run)["sessions"][0]) == {"a.py": (1, 0)}
    assert lock.exists()


def test_no_such_group(run: Run) -> None:
    assert "no sessions in group g-000000" in run("compare g-000000", exit=10).stderr
