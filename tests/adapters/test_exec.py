"""exec: the words after `--` and nothing else, without a shell."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentctl.adapters import exec
from agentctl.adapters.base import Capability, CommandRequest
from agentctl.core.model import Held
from agentctl.errors import UsageFault
from agentctl.host import flock

if TYPE_CHECKING:
    from tests.conftest import Run, WaitUntil

ECHO = "import json, sys; print(json.dumps([sys.argv[1:], sys.stdin.read()]))"


def command(*args: str, **changes: object) -> tuple[tuple[str, ...], str | None]:
    request = CommandRequest(session_id="s", cwd="/", args=args, **changes)  # type: ignore[arg-type]
    made = exec.launch_command(request)
    assert not made.env
    return made.argv, made.stdin


def test_the_command_is_taken_as_it_is() -> None:
    assert command("make", "-k", "check all", "--", "$HOME") == (
        ("make", "-k", "check all", "--", "$HOME"),
        None,
    )


def test_one_word_with_spaces_is_the_name_of_a_program() -> None:
    assert command("make check") == (("make check",), None)


def test_a_prompt_is_standard_input() -> None:
    assert command("cat", prompt="text\n") == (("cat",), "text\n")


def test_a_configured_program_wraps_the_command() -> None:
    assert command("make", program=("nice", "-n", "5"))[0] == ("nice", "-n", "5", "make")
    assert command(program=("make",))[0] == ("make",)


@pytest.mark.parametrize("args", [(), ("",), ("", "x")])
def test_no_command_is_refused_with_the_way_out(args: tuple[str, ...]) -> None:
    with pytest.raises(UsageFault, match="needs a command") as caught:
        command(*args)
    assert caught.value.hint is not None
    assert "exec -- " in caught.value.hint


def test_a_model_is_refused() -> None:
    with pytest.raises(UsageFault, match="no model"):
        command("make", model="gpt-5")


def test_it_can_launch_and_nothing_else() -> None:
    assert frozenset({Capability.LAUNCH}) == exec.CAPABILITIES
    assert exec.PROGRAM is None


def log_of(run: Run, session: str) -> Path:
    return Path(run(f"status --json {session}").json()["sessions"][0]["log_path"])


def test_words_reach_the_program_unchanged(run: Run, wait_until: WaitUntil) -> None:
    words = ["a b", "$HOME", "*", "'\"", "", "-p", "--", "ä\n"]
    session = run(
        ["launch", "exec", "--settle", "0", "--", sys.executable, "-c", ECHO, *words]
    ).stdout.strip()

    def read() -> list[object]:
        lines = log_of(run, session).read_text().splitlines()
        assert lines
        got: list[object] = json.loads(lines[0])
        return got

    assert wait_until(read) == [words, ""]
    lock = str(log_of(run, session).with_name("lock"))
    wait_until(lambda: flock.probe(lock) is Held.NO)


def test_a_program_that_is_not_there_is_named(run: Run) -> None:
    outcome = run(["launch", "exec", "--", "make check"], exit=12)
    assert "make check" in outcome.stderr
