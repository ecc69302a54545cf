"""Completion in real shells: what they offer, and that what they insert is what was meant.

A program named agentctl stands first in PATH: asked by a shell it completes, run by a
person it notes its arguments, so that a test sees what the shell made of a line.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agentctl.commands.completion import FILES, SCRIPTS
from agentctl.core.model import Outcome, Session, Status
from agentctl.host.paths import Paths

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[1]
SHELLS = ("bash", "zsh", "fish")
LIVE = "1a2b3c4d-0000-4000-8000-000000000001"
OTHER = "1a2b3c4d-0000-4000-8000-000000000002"
ENDED = "9f9f9f9f-0000-4000-8000-000000000003"
NAME = 'blue: it\'s a "name"'
PROMPT = "Make the \x1b[31mtests\x07 pass: all, of them"
SHOWN = "Make the tests pass: all, of them"
DIRECTORY = '/srv/a b:c/it\'s "here"'

WRAPPER = """#!/bin/sh
if [ -n "$_AGENTCTL_COMPLETE" ]; then
    exec {python} -P -m agentctl
fi
printf '%s\\n' "$@" >"$ARGUMENTS.new" && mv "$ARGUMENTS.new" "$ARGUMENTS"
"""


@pytest.fixture(autouse=True)
def planted(sealed_home: Path) -> None:
    """Two live sessions, an ended one, and a held directory."""
    from agentctl.store import locks, sessions
    from agentctl.store.db import connect, transaction

    paths = Paths.from_environment(os.environ)
    paths.create()
    start = datetime(2026, 1, 31, 12, tzinfo=UTC)
    live = Session(
        id=LIVE,
        name=NAME,
        prompt=PROMPT,
        group="g-aaa111",
        adapter="opencode",
        cwd="/srv",
        status=Status.RUNNING,
        created_at=start,
    )
    ended = live._replace(
        id=ENDED,
        name="gone",
        prompt=None,
        group="g-bbb222",
        status=Status.STOPPED,
        outcome=Outcome.SUCCEEDED,
        created_at=start - timedelta(hours=1),
        ended_at=start,
    )
    db = connect(paths.database, busy=timedelta(seconds=5))
    with transaction(db):
        sessions.insert(db, live)
        sessions.insert(db, live._replace(id=OTHER, name="it's'", prompt="Second\nline"))
        sessions.insert(db, ended)
        locks.acquire(db, directory=DIRECTORY, holder="anna", session_id=None, created_at=start)
    db.close()


@pytest.fixture
def shell_env(tmp_path: Path) -> dict[str, str]:
    """The environment of a shell that finds our agentctl first."""
    program = tmp_path / "bin" / "agentctl"
    program.parent.mkdir()
    program.write_text(WRAPPER.format(python=sys.executable))
    program.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "ARGUMENTS": str(tmp_path / "arguments"),
        "LC_ALL": "C.UTF-8",
        "TERM": "xterm",
        "PS1": "ready> ",
    }


def ask(shell: str, line: str, env: dict[str, str]) -> list[str]:
    """What a shell would offer at the end of `line`, as its own functions tell it, one an entry."""
    if shell == "bash":
        script = (
            f"{SCRIPTS['bash']}\nCOMP_LINE=$LINE COMP_POINT=${{#LINE}}\n"
            'eval "COMP_WORDS=($LINE)"; [[ $LINE == *" " ]] && COMP_WORDS+=("")\n'
            "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
            '_agentctl_completion agentctl "${COMP_WORDS[COMP_CWORD]}" ""\n'
            "printf '%s\\n' \"${COMPREPLY[@]}\""
        )
        command = ["bash", "--norc", "-c", script]
    elif shell == "zsh":
        # What reaches these two is what is offered.
        script = (
            "compadd() { print -rl -- ${(P)@[-1]} }\n_describe() { print -rl -- ${(P)3} }\n"
            f"compdef() {{ }}\ncompset() {{ }}\n{SCRIPTS['zsh']}\n"
            'words=(${(z)LINE}); [[ $LINE == *" " ]] && words+=("")\n'
            "CURRENT=$#words; _agentctl"
        )
        command = ["zsh", "-f", "-c", script]
    else:
        command = ["fish", "--no-config", "-c", f"{SCRIPTS['fish']}\ncomplete -C $LINE"]
    done = subprocess.run(
        command, env={**env, "LINE": line}, capture_output=True, text=True, timeout=30, check=False
    )
    assert not done.stderr, done.stderr
    return done.stdout.splitlines()


def values(offered: list[str]) -> list[str]:
    """Without descriptions and without a shell's own escapes."""
    return [re.sub(r"(?<!\\):.*|\t.*", "", each).replace("\\", "") for each in offered]


class Terminal:
    """An interactive shell on a terminal of its own, as a person has it."""

    def __init__(self, shell: str, env: dict[str, str], wait_until: Any) -> None:
        self.wait_until = wait_until
        self.arguments = Path(env["ARGUMENTS"])
        self.screen = ""
        start = {
            "bash": ["bash", "--norc", "--noprofile", "-i"],
            "zsh": ["zsh", "-f", "-i"],
            "fish": ["fish", "--no-config", "-i", "-C", "function fish_prompt; echo 'ready> '; end"],
        }[shell]
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        os.set_blocking(self.master, False)
        self.process = subprocess.Popen(
            start,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=env,
            start_new_session=True,
            # Shells want a terminal that controls them, for their jobs.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)

    def load(self, shell: str) -> None:
        self.wait_until(lambda: self.shows("ready> "), timeout=30)
        committed = ROOT / "completions"
        self.type(
            {
                "bash": f"source {committed}/agentctl.bash",
                "zsh": f"fpath=({committed} $fpath); autoload -Uz compinit; compinit -u -D",
                "fish": f"source {committed}/agentctl.fish",
            }[shell]
            + "; echo load''ed\r"
        )
        self.wait_until(lambda: self.shows("loaded"), timeout=30)
        self.screen = self.screen.rpartition("loaded")[2]

    def shows(self, text: str) -> bool:
        """`text` has come to the screen; what else came is kept for a failure to show."""
        with contextlib.suppress(BlockingIOError):
            self.screen += os.read(self.master, 65536).decode(errors="replace")
        assert text in self.screen, self.screen
        return True

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def run(self, line: str) -> list[str]:
        """Type `line`, Tab and Return; the arguments that agentctl was started with."""
        self.arguments.unlink(missing_ok=True)
        # Keys that come before the prompt are read in another way: a Tab is a blank then.
        self.wait_until(lambda: self.shows("ready> "), timeout=30)
        self.screen = ""
        self.type(line + "\t\r")

        def noted() -> None:
            self.shows("")
            assert self.arguments.exists(), self.screen

        self.wait_until(noted, timeout=30)
        return self.arguments.read_text().splitlines()

    def close(self) -> None:
        os.close(self.master)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture(params=SHELLS)
def terminal(
    request: pytest.FixtureRequest, shell_env: dict[str, str], wait_until: Any
) -> Iterator[Terminal]:
    shell = Terminal(request.param, shell_env, wait_until)
    try:
        shell.load(request.param)
        yield shell
    finally:
        shell.close()


def test_a_script_as_a_document(run: Any) -> None:
    for shell, text in SCRIPTS.items():
        assert run(f"completion {shell} --json").json() == {
            "schema_version": 1,
            "shell": shell,
            "script": text,
        }


def test_the_committed_scripts_are_what_the_command_prints(run: Any) -> None:
    for shell, text in SCRIPTS.items():
        assert run(["completion", shell]).stdout == text
    for name, text in FILES.items():
        assert (ROOT / "completions" / name).read_text() == text
    assert {path.name for path in (ROOT / "completions").iterdir()} - {".keep"} == set(FILES)


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_and_their_help(shell: str, shell_env: dict[str, str]) -> None:
    from agentctl.cli import COMMANDS

    offered = ask(shell, "agentctl ", shell_env)
    assert values(offered) == list(COMMANDS)
    if shell != "bash":
        assert any("List live sessions, newest first." in each for each in offered)
    assert values(ask(shell, "agentctl comp", shell_env)) == ["compare", "completion"]


@pytest.mark.parametrize("shell", SHELLS)
def test_options(shell: str, shell_env: dict[str, str]) -> None:
    assert values(ask(shell, "agentctl --ver", shell_env)) == ["--version"]
    assert "--json" in values(ask(shell, "agentctl list --", shell_env))


@pytest.mark.parametrize("shell", SHELLS)
def test_live_sessions_with_their_prompt(shell: str, shell_env: dict[str, str]) -> None:
    offered = ask(shell, "agentctl stop ", shell_env)
    ids = [value for value in values(offered) if value in (LIVE, OTHER, ENDED)]
    assert sorted(ids) == [LIVE, OTHER]
    if shell != "bash":
        assert sum(SHOWN in each for each in offered) == 2  # beside the id and beside the name
        assert any("Second line" in each for each in offered)
    assert sorted(values(ask(shell, "agentctl stop 1a2b", shell_env))) == [LIVE, OTHER]


@pytest.mark.parametrize("shell", SHELLS)
def test_ended_sessions_where_they_make_sense(shell: str, shell_env: dict[str, str]) -> None:
    assert ENDED in values(ask(shell, "agentctl logs ", shell_env))
    assert values(ask(shell, "agentctl logs go", shell_env)) == ["gone"]


@pytest.mark.parametrize("shell", SHELLS)
def test_values_of_options(shell: str, shell_env: dict[str, str]) -> None:
    assert values(ask(shell, "agentctl list --group ", shell_env)) == ["g-aaa111", "g-bbb222"]
    assert values(ask(shell, "agentctl list --adapter openco", shell_env)) == ["opencode"]


def test_an_unquoted_word_is_completed_to_what_is_meant(terminal: Terminal) -> None:
    assert terminal.run("agentctl stop bl") == ["stop", NAME]


def test_a_word_is_completed_past_a_colon(terminal: Terminal) -> None:
    assert terminal.run("agentctl unlock /srv/a\\ b:c/i") == ["unlock", DIRECTORY]


def test_a_quoted_word_is_completed(terminal: Terminal) -> None:
    assert terminal.run("agentctl unlock '/srv/a b:") == ["unlock", DIRECTORY]
    assert terminal.run('agentctl unlock "/srv/a b') == ["unlock", DIRECTORY]
    assert terminal.run("agentctl stop 'i") == ["stop", "it's'"]


def test_a_value_after_an_equals_sign_keeps_its_option(terminal: Terminal) -> None:
    assert terminal.run("agentctl list --adapter=openco") == ["list", "--adapter=opencode"]


def test_another_directory_is_completed_as_a_path(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "some directory").mkdir()
    arguments = terminal.run(f"agentctl unlock {tmp_path}/som")
    assert [each.rstrip("/") for each in arguments] == ["unlock", f"{tmp_path}/some directory"]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_a_menu_shows_prompts_without_what_a_terminal_would_obey(
    shell: str, shell_env: dict[str, str], wait_until: Any
) -> None:
    terminal = Terminal(shell, shell_env, wait_until)
    try:
        terminal.load(shell)
        terminal.type("agentctl stop 1a2b\t")
        wait_until(lambda: terminal.shows(LIVE[:-1]))  # as far as both agree
        terminal.type("\x04" if shell == "zsh" else "\t")  # Ctrl-D lists what Tab would offer
        wait_until(lambda: terminal.shows(SHOWN), timeout=30)
        assert "\x07 pass" not in terminal.screen
    finally:
        terminal.close()


def test_zsh_takes_the_script_by_eval_too(shell_env: dict[str, str], wait_until: Any) -> None:
    terminal = Terminal("zsh", shell_env, wait_until)
    try:
        terminal.load("zsh")
        script = Path(shell_env["ARGUMENTS"]).with_name("script")
        script.write_text(SCRIPTS["zsh"])
        terminal.type(f'unfunction _agentctl; eval "$(<{script})"; echo evalua""ted\r')
        wait_until(lambda: terminal.shows("evaluated"), timeout=30)
        terminal.screen = terminal.screen.rpartition("evaluated")[2]
        assert terminal.run("agentctl stop bl") == ["stop", NAME]
        assert terminal.run("agentctl stop bl") == ["stop", NAME]
    finally:
        terminal.close()


def test_without_state_nothing_is_offered_and_nothing_is_made(
    run_real: Any, sealed_home: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    asked = {"_AGENTCTL_COMPLETE": "fish_complete", "COMP_WORDS": "agentctl stop ", "COMP_CWORD": ""}
    outcome = run_real([], env={**asked, "AGENTCTL_HOME": str(elsewhere)})
    assert (outcome.stdout.strip(), outcome.stderr) == ("", "")
    assert not elsewhere.exists()


def test_a_damaged_state_offers_nothing_and_says_nothing(run_real: Any, sealed_home: Path) -> None:
    (sealed_home / "agentctl.db").write_bytes(b"not a database, but long enough to be taken for one" * 50)
    asked = {"_AGENTCTL_COMPLETE": "bash_complete", "COMP_WORDS": "agentctl stop ", "COMP_CWORD": "2"}
    outcome = run_real([], env=asked)
    assert (outcome.stdout.strip(), outcome.stderr) == ("", "")
