"""Verbs on many sessions: a group, and a family of agents that launched agents."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run, RunReal, WaitUntil
from tests.git_tools import make_repository

AGENTCTL = shlex.join([sys.executable, "-P", "-m", "agentctl"])

Matrix = Callable[..., tuple[str, list[str]]]


@pytest.fixture
def matrix(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Matrix:
    """Launch a demo agent for each prompt; the group and the ids."""
    monkeypatch.setenv("AGENTCTL_DEMO_PACE", "0.05")
    repo = make_repository(tmp_path / "site")
    monkeypatch.chdir(repo)

    def launch(*prompts: str) -> tuple[str, list[str]]:
        entries = "".join(f"- {{adapter: demo, prompt: {prompt}}}\n" for prompt in prompts)
        (repo / "m.yaml").write_text(f"matrix:\n{entries}")
        done = run("launch --matrix m.yaml --settle 0s --json").json()
        return done["group"], [one["id"] for one in done["sessions"]]

    return launch


def outcomes(run: Run, ids: list[str]) -> list[str | None]:
    return [one["outcome"] for one in run(["status", "--json", *ids]).json()["sessions"]]


def test_four_agents_of_a_matrix_are_listed_waited_for_and_stopped_as_one(run: Run, matrix: Matrix) -> None:
    group, ids = matrix("say one", "say two", "say three", "say four")
    other, hanging = matrix("hang", "hang")
    assert set(run(["list", "-a", "-q", "--group", group]).lines) == set(ids)
    run(["wait", "--group", group, "--all"])
    assert outcomes(run, ids) == ["succeeded"] * 4
    assert run(["wait", "--group", other, "--timeout", "0"], exit=124).stdout == ""
    run(["stop", "--group", other])
    assert outcomes(run, hanging) == ["cancelled"] * 2
    assert run(["list", "-q", "--group", other]).lines == []


def test_the_first_success_ends_the_wait_and_the_rest(run: Run, matrix: Matrix) -> None:
    group, ids = matrix("hang", "fail", "say hello", "hang")
    done = run(["wait", "--group", group, "--first-success", "--stop-rest", "-q"])
    assert done.lines == [ids[2]]
    assert outcomes(run, ids) == ["cancelled", "failed", "succeeded", "cancelled"]


def test_the_first_success_alone_leaves_the_others_at_work(run: Run, matrix: Matrix) -> None:
    group, ids = matrix("hang", "say hello")
    done = run(["wait", "--group", group, "--first-success", "--json"]).json()["sessions"]
    assert {one["id"]: one["outcome"] for one in done} == dict(zip(ids, [None, "succeeded"], strict=True))
    assert outcomes(run, ids) == [None, "succeeded"]


def test_without_any_success_the_wait_goes_on_to_the_end(run: Run, matrix: Matrix) -> None:
    group, ids = matrix("fail", "crash")
    run(["wait", "--group", group, "--first-success", "--stop-rest"], exit=1)
    assert outcomes(run, ids) == ["failed", "failed"]
    group, _ = matrix("fail", "hang")
    run(["wait", "--group", group, "--first-success", "--timeout", "1s"], exit=124)


def test_any_with_the_rest_stopped(run: Run, matrix: Matrix) -> None:
    group, ids = matrix("fail", "hang")
    run(["wait", "--group", group, "--any", "--stop-rest"], exit=1)
    assert outcomes(run, ids) == ["failed", "cancelled"]


@pytest.mark.parametrize(
    "words",
    ["wait --group g --any --first-success", "wait x --stop-rest", "wait x --all --stop-rest", "wait"],
)
def test_waits_that_contradict_themselves(run: Run, words: str) -> None:
    run(words, exit=2)


def test_a_group_that_is_not_there(run: Run) -> None:
    for verb in ("wait", "stop", "worktree clean"):
        assert "no sessions in group g-000000" in run(f"{verb} --group g-000000", exit=10).stderr


@pytest.fixture
def family(run_real: RunReal, tmp_path: Path, wait_until: WaitUntil) -> Callable[..., dict[str, Any]]:
    """Launch an agent that launches one that launches one; name → document.

    `at_term` makes the first answer TERM by launching one more.
    """

    def launch(*, at_term: bool = False) -> dict[str, Any]:
        for name in ("parent", "child", "grandchild", "late"):
            (tmp_path / name).mkdir()

        def launching(name: str, script: str) -> str:
            place = shlex.quote(str(tmp_path / name))
            options = f"--settle 0s --name {name} --cwd {place}"
            return f"{AGENTCTL} launch exec {options} -- sh -c {shlex.quote(script)}"

        child = f"{launching('grandchild', 'exec sleep 300')}; sleep 300"
        (tmp_path / "late.sh").write_text(launching("late", "exec sleep 300"))
        trap = f"trap 'sh {tmp_path}/late.sh; exit' TERM; " if at_term else ""
        parent = f"{trap}{launching('child', child)}; sleep 300 & wait"
        words = ["launch", "exec", "--name", "parent", "--cwd", str(tmp_path / "parent")]
        run_real([*words, "--settle", "0s", "--", "sh", "-c", parent])

        def everybody() -> dict[str, Any] | None:
            found = {one["name"]: one for one in run_real("list --json").json()["sessions"]}
            return found if {"parent", "child", "grandchild"} <= set(found) else None

        wait_until(lambda: bool(everybody()), timeout=60)
        return {one["name"]: one for one in run_real("list --json").json()["sessions"]}

    return launch


def test_a_family_is_shown_as_a_tree(run: Run, family: Callable[..., dict[str, Any]]) -> None:
    members = family()
    assert members["parent"]["parent_id"] is None
    assert members["child"]["parent_id"] == members["parent"]["id"]
    assert members["grandchild"]["parent_id"] == members["child"]["id"]
    rows = run("list --tree").lines[1:]
    shown = [row.lstrip(" └─").split()[0] for row in rows]
    assert shown == [members[name]["id"][:8] for name in ("parent", "child", "grandchild")]
    indents = [len(row) - len(row.lstrip(" └─")) for row in rows]
    assert indents == sorted(set(indents))


def test_stop_leaves_the_children_and_stop_tree_takes_them(
    run: Run, family: Callable[..., dict[str, Any]]
) -> None:
    members = family()
    run("stop parent --timeout 2s")
    assert {one["name"] for one in run("list --json").json()["sessions"]} == {"child", "grandchild"}
    done = run(["stop", "--tree", members["parent"]["id"], "--timeout", "2s", "--json"]).json()["sessions"]
    assert [(one["name"], one["outcome"]) for one in done] == [
        ("parent", "cancelled"),
        ("child", "cancelled"),
        ("grandchild", "cancelled"),
    ]
    assert run("list -q").lines == []


def test_a_child_that_is_launched_while_its_parent_is_stopped_is_stopped_too(
    run: Run, family: Callable[..., dict[str, Any]]
) -> None:
    """The parent answers TERM by launching one more, and ends when that is there."""
    family(at_term=True)
    done = run("stop --tree parent --timeout 30s --json").json()["sessions"]
    assert {one["name"] for one in done} == {"parent", "child", "grandchild", "late"}
    assert run("list -q").lines == []
