"""An agent can write its repository's settings and hooks: agentctl runs no program that they name."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from agentctl.host import git_programs
from tests.conftest import Run
from tests.git_tools import commit, git, make_repository, with_origin

HOOKS = (
    "post-checkout",
    "post-index-change",
    "reference-transaction",
    "pre-auto-gc",
    "pre-commit",
    "post-commit",
)

PLANTED = (
    "core.fsmonitor",
    "core.sshCommand",
    "core.alternateRefsCommand",
    "core.pager",
    "credential.helper",
    "diff.external",
    "diff.x.command",
    "diff.x.textconv",
    "filter.x.clean",
    "filter.x.smudge",
    "filter.x.process",
    "gpg.program",
    "gc.recentObjectsHook",
    "merge.x.driver",
    "remote.origin.uploadpack",
    "hook.x.command",
)


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A program that leaves `sprung` beside it."""
    program = tmp_path / "trap"
    program.write_text(f'#!/bin/sh\necho "$0 $* in $PWD" >>{tmp_path}/sprung\ncat\n')
    program.chmod(0o755)
    return program


def plant(place: Path, trap: Path) -> None:
    """Everything that an agent may write into a repository's settings, and its hooks."""
    for name in PLANTED:
        git(place, "config", name, f"{trap} {name}")
    git(place, "config", "hook.x.event", "post-checkout")
    git(place, "config", "log.showSignature", "true")
    git(place, "config", "submodule.recurse", "true")
    git(place, "config", "protocol.ext.allow", "always")
    hooks = Path(git(place, "rev-parse", "--absolute-git-dir"), "hooks")
    hooks.mkdir(exist_ok=True)
    for name in HOOKS:
        (hooks / name).symlink_to(trap)


def changed(place: Path) -> None:
    """Give every file a new time, so that git has to read it."""
    for path in place.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            os.utime(path, (1, 1))


def test_no_planted_program_is_run(run: Run, repo: Path, tmp_path: Path, trap: Path) -> None:
    make_repository(tmp_path / "inner")
    git(repo, "submodule", "--quiet", "add", str(tmp_path / "inner"), "inner")
    (repo / ".gitattributes").write_text("* filter=x diff=x merge=x\n")
    commit(repo, "second")
    with_origin(repo)
    first = run("launch demo -p x --branch one --wait").stdout.strip()
    place = Path(f"{repo}-one")
    git(place, "submodule", "--quiet", "update", "--init")
    (place / "new").write_text("new\n")
    (place / "readme").write_text("changed\n")
    (place / "inner" / "readme").write_text("changed\n")
    plant(repo, trap)
    plant(place / "inner", trap)
    git(repo, "config", "core.hooksPath", str(repo / ".git" / "hooks"))
    (tmp_path / "sprung").unlink(missing_ok=True)  # the plain git calls above may have run it
    for places in (repo, place):
        changed(places)
    said = run("launch demo -p x --branch two --wait").stderr
    assert "git filter x: not run" in said
    listed = run("worktree list --json").json()["worktrees"]
    assert {one["branch"]: sorted(one["changed"]) for one in listed}["one"] == ["inner", "readme"]
    run("worktree list")
    run(["worktree", "clean", first, "--force"], exit=None)
    shutil.rmtree(place / "inner")
    shutil.rmtree(repo / ".git" / "worktrees" / "site-one" / "modules")
    run(["worktree", "clean", first, "--force"])
    run(["worktree", "restore", first])
    run("launch demo -p x --adapter demo --adapter demo --wait", exit=None)
    for row in run("list -a --json").json()["sessions"]:
        if row["group"]:
            run(["compare", row["group"]])
    run("doctor", exit=None)
    run("prune --older-than 0s --worktrees", exit=None)
    assert not (tmp_path / "sprung").exists(), (tmp_path / "sprung").read_text()


def test_what_the_user_set_for_every_repository_is_run(run: Run, repo: Path, tmp_path: Path) -> None:
    git(repo, "config", "--global", "filter.up.smudge", "tr a-z A-Z")
    git(repo, "config", "filter.up.smudge", "false")
    (repo / ".gitattributes").write_text("readme filter=up\n")
    commit(repo, "second")
    assert "not run" in run("launch demo -p x --branch one --wait").stderr
    assert Path(f"{repo}-one", "readme").read_text() == "HELLO\n"


def test_lazy_objects_are_not_fetched_by_a_planted_program(
    run: Run, repo: Path, tmp_path: Path, trap: Path
) -> None:
    """A repository may say that objects it lacks are at a remote: git asks for them at any look."""
    run("launch demo -p x --branch one --wait")
    missing = commit(Path(f"{repo}-one"), "second")
    for name, value in {
        "core.repositoryFormatVersion": "1",
        "extensions.partialClone": "far",
        "remote.far.promisor": "true",
        "remote.far.url": str(repo),
        "remote.far.uploadpack": str(trap),
    }.items():
        git(repo, "config", name, value)
    (repo / ".git" / "objects" / missing[:2] / missing[2:]).unlink()
    run("worktree list", exit=None)
    run("launch demo -p x --branch two --wait", exit=None)
    assert not (tmp_path / "sprung").exists(), (tmp_path / "sprung").read_text()


def test_settings_are_replaced_by_the_users_own_or_by_nothing() -> None:
    listed = "".join(
        f"{scope}\0{name}\n{value}\0"
        for scope, name, value in (
            ("global", "core.sshcommand", "ssh -v"),
            ("global", "credential.helper", "store"),
            ("global", "core.hookspath", "/mine"),
            ("local", "core.sshcommand", "evil"),
            ("local", "credential.helper", "!evil"),
            ("worktree", "filter.a=b.clean", "evil"),
            ("local", "filter.lfs.clean", "git-lfs clean -- %f"),
            ("local", "filter.lfs.process", "evil"),
            ("local", "core.gitproxy", "evil"),
            ("local", "hook.x.command", "evil"),
            ("local", "user.name", "Ann"),
        )
    )
    assert git_programs.overrides(listed) == [
        ("core.hookspath", "/mine"),
        ("core.sshcommand", "ssh -v"),
        ("credential.helper", ""),
        ("credential.helper", "store"),
        ("filter.a=b.clean", ""),
        ("filter.lfs.process", ""),
        ("hook.x.enabled", "false"),
    ]
    assert git_programs.transports(listed) == ["core.gitproxy"]
    assert git_programs.filters(listed) == ["a=b", "lfs"]
