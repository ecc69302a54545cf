"""Command lines of the TypeScript agentctl: taken with the same meaning, or refused with what to use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Run
from tests.git_tools import make_repository


@pytest.fixture
def ended(run: Run, work: Path) -> str:
    """A finished session of the demo agent, in the current directory."""
    return run("launch demo -p hi --wait", env={"AGENTCTL_DEMO_PACE": "0"}).lines[0]


TAKEN = [
    "list --adapter demo --status stopped --all --json",
    "list -a --group g-0a1b2c",
    "status {id} --adapter demo --json",
    "peek {id} -n 3 --adapter demo",
    "peek {id} --lines 3",
    "logs {id} -n 3 --adapter demo",
    "logs {id} --lines 3",
    "stop {id} --adapter demo",
    "stop {id} --force",
    "events --json",
    "lock . --by me --reason later",
    "locks --json",
    "fuses --json",
    "prune",
]


@pytest.mark.parametrize("line", TAKEN)
def test_a_command_is_taken(line: str, run: Run, ended: str) -> None:
    run(line.format(id=ended))


def test_a_lock_is_freed(run: Run, work: Path) -> None:
    run("lock . --by me")
    run("unlock .")


def test_resume_takes_the_adapter(run: Run, ended: str) -> None:
    found = run(["resume", ended, "go on", "--adapter", "demo"], exit=12)
    assert "adapter demo cannot resume" in found.stderr
    refused = run(["resume", ended, "go on", "--adapter", "codex"], exit=10)
    assert "no session" in refused.stderr


@pytest.mark.parametrize("verb", ["status", "peek", "logs", "stop"])
def test_the_adapter_narrows_what_an_id_means(verb: str, run: Run, ended: str) -> None:
    assert "no session" in run([verb, ended, "--adapter", "codex"], exit=10).stderr
    assert "unknown adapter" in run([verb, ended, "--adapter", "demos"], exit=12).stderr


def test_an_ambiguous_beginning_is_narrowed(run: Run, work: Path) -> None:
    """With so many sessions, two ids begin alike; the adapter tells them apart."""
    other = run("launch exec --name same --settle 0 --wait -- true").lines[0]
    demo = run("launch demo --name same -p hi --wait", env={"AGENTCTL_DEMO_PACE": "0"}).lines[0]
    assert run("status same -q --adapter exec").lines == [other]
    assert run("status same -q --adapter demo").lines == [demo]


def test_launch_takes_every_option(run: Run, tmp_path: Path, repo: Path) -> None:
    (repo / "plan.md").write_text("the plan")
    words = ["--spec", "plan.md", "--file", "plan.md", "--max-file-size", "51200", "--model", "m", "--force"]
    hooks = ["--on-create", "true", "--on-complete", "true", "--callback-session", "k"]
    run(["launch", "demo", "-p", "hi", "--cwd", ".", *words, *hooks, "--callback-agent", "a", "--wait"])
    tree = ["--worktree", ".", "--branch", "fix", "--base-branch", "main"]
    run(["launch", "demo", "--prompt", "hi", *tree, "--wait"])
    both = run(
        ["launch", "-p", "hi", "-A", "demo", "-M", "one", "-A", "demo", "-M", "two", "--wait", "--json"]
    )
    assert sorted(one["model"] for one in both.json()["sessions"]) == ["one", "two"]


def test_worktrees_are_listed_and_cleaned_by_path_and_repository(
    run: Run, repo: Path, tmp_path: Path
) -> None:
    run("launch demo -p hi --worktree . --branch fix --wait")
    (tree,) = [one["path"] for one in run("worktree list . --json").json()["worktrees"] if one["session_id"]]
    other = make_repository(tmp_path / "other")
    refused = run(["worktree", "clean", tree, "--repo", str(other)], exit=10)
    assert "is not a worktree of" in refused.stderr
    assert Path(tree).is_dir()
    run(["worktree", "clean", tree, "--repo", str(repo), "--delete-branch"])
    assert not Path(tree).exists()


@pytest.mark.parametrize(
    "line",
    [
        "start --foreground",
        "start --supervised",
        "start --metrics-port 9200",
        "stop",
        "status",
        "restart",
        "install",
        "uninstall",
    ],
)
def test_a_daemon_is_refused_with_what_to_use(line: str, run: Run) -> None:
    refused = run(f"daemon {line}", exit=2)
    assert "no daemon" in refused.stderr
    assert "agentctl reap" in refused.stderr


def test_an_id_may_end_as_a_terminal_or_a_file_ends_it(run: Run, ended: str) -> None:
    for verb in ("status", "peek", "logs", "stop", "why", "wait"):
        run([verb, f"{ended}\r"])
    assert run(["status", f"{ended}\r\n", "-q"]).lines == [ended]
    assert "did you mean" not in run(["fuse", "set", f"{ended}\r", "--for", "1h"], exit=None).stderr
    assert "ID is empty" in run(["status", "\r"], exit=2).stderr


def test_a_very_long_time_ago_is_before_everything(run: Run, ended: str) -> None:
    for length in ("5000d", "99999999999999d"):
        assert run(["list", "-a", "-q", "--since", length]).lines == [ended]
    assert "neither a duration" in run("list --since soon", exit=2).stderr


def test_a_default_adapter_must_exist(run: Run) -> None:
    refused = run("config set adapter nosuch", exit=2)
    assert "there is no adapter nosuch" in refused.stderr
    assert "demo" in run("config set adapter dem", exit=2).stderr
    run("config set adapter demo")


def test_its_json_is_printed_on_request(run: Run, ended: str, monkeypatch: pytest.MonkeyPatch) -> None:
    live = run("launch exec --name on --fuse 1h --force -- sleep 60").lines[0]
    monkeypatch.setenv("AGENTCTL_COMPAT", "typescript")
    listed = {one["id"]: one for one in run("list --json").json()}
    assert (listed[live]["status"], listed[ended]["status"]) == ("running", "stopped")
    for words in ("--name on", "--limit 1", "--status running"):
        assert [one["id"] for one in run(f"list --json {words}").json()] == [live], words
    assert listed[live]["stoppedAt"] is None
    assert listed[ended]["stoppedAt"] is not None
    keys = [
        "id",
        "adapter",
        "status",
        "startedAt",
        "stoppedAt",
        "cwd",
        "spec",
        "model",
        "tokens",
        "cost",
        "pid",
        "meta",
    ]
    assert list(listed[ended]) == keys
    assert run("list --json --status running").json() == [listed[live]]
    assert run(["status", "--json", ended]).json() == listed[ended]
    assert [one["type"] for one in run("locks --json").json()] == ["auto"]
    assert [one["sessionId"] for one in run("fuses --json").json()] == [live]
    assert f'"sessionId": "{ended}"' in run("events --json").stdout
    run(["stop", live])
