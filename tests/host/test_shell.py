"""A user's hook: run by `sh`, bounded, its output kept, nobody waited for who is not it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from agentctl.core.model import Life
from agentctl.host import processes, shell, waiting
from agentctl.host.shell import KEPT, Ran
from tests.planting import without_descriptors

ENVIRON = {"PATH": os.defpath, "GREETING": "hello"}


def run(command: str, cwd: Path, limit: float = 20) -> Ran:
    return shell.run(command, cwd=str(cwd), environ=ENVIRON, limit=limit)


def test_success_has_no_error(tmp_path: Path) -> None:
    assert run('echo "$GREETING"; echo oops >&2; pwd', tmp_path) == Ran(0, f"hello\noops\n{tmp_path}\n", None)


@pytest.mark.parametrize(
    ("command", "code", "error"), [("exit 3", 3, "exit 3"), ("nonesuch", 127, "exit 127")]
)
def test_failure_names_the_status(command: str, code: int, error: str, tmp_path: Path) -> None:
    ran = run(f"{command} 2>/dev/null", tmp_path)
    assert (ran.code, ran.error) == (code, error)


def test_death_by_a_signal_is_named_as_a_shell_does(tmp_path: Path) -> None:
    assert run("kill -TERM $$", tmp_path).error == "exit 143"


def test_there_is_no_input_and_only_the_given_environment(tmp_path: Path) -> None:
    ran = run("cat; env | grep -c HOME", tmp_path)
    assert ran.output == "0\n"


def test_a_directory_that_is_gone_is_an_error_not_an_exception(tmp_path: Path) -> None:
    ran = run("true", tmp_path / "gone")
    assert (ran.code, ran.output) == (None, "")
    assert ran.error is not None
    assert str(tmp_path / "gone") in ran.error


def test_of_much_output_the_end_is_kept(tmp_path: Path) -> None:
    ran = run("head -c 200000 /dev/zero | tr '\\0' x; echo end", tmp_path)
    assert len(ran.output) == KEPT
    assert ran.output.endswith("xend\n")


def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    assert run("printf 'a\\377b'", tmp_path).output == "a\N{REPLACEMENT CHARACTER}b"


def test_a_child_left_behind_is_not_waited_for(tmp_path: Path) -> None:
    ran = run("sleep 60 & echo $!", tmp_path)
    assert ran.code == 0
    child = int(ran.output)
    token = processes.token_of(child)
    assert token is not None
    assert processes.signal_process(child, token, signal.SIGKILL)


def test_at_its_limit_the_whole_group_is_ended(tmp_path: Path) -> None:
    ran = run("trap '' TERM; sleep 60 & echo $!; wait", tmp_path, limit=0.2)
    assert (ran.code, ran.error) == (None, "ended at its limit of 0.2 s")
    child = int(ran.output)
    stat = processes.stat_of(child)
    assert stat is None or waiting.poll(
        lambda: processes.look(child, processes.token(stat.ticks)) is not Life.ALIVE, timeout=10
    )


def test_what_could_not_begin_for_want_of_a_resource_is_worth_repeating(tmp_path: Path) -> None:
    with without_descriptors():
        ran = run("echo began >began", tmp_path)
    assert (ran.code, ran.is_worth_repeating) == (None, True)
    assert "cannot start" in (ran.error or "")
    assert not (tmp_path / "began").exists()
    assert not run("exit 3", tmp_path).is_worth_repeating
    assert not run("true", tmp_path / "nowhere").is_worth_repeating
