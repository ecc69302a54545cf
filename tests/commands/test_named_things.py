"""What a person names, in every command: nothing at all, a file or a directory that does not exist."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest

from agentctl.cli import COMMANDS, Root
from agentctl.host import waiting
from tests.conftest import Run
from tests.git_tools import make_repository

TEXTS = {("launch", "prompt"), ("config set", "values")}
"""Parameters that may be empty: an adapter may want no prompt, and a setting judges its value itself."""


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    with click.Context(group) as ctx:
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            assert command is not None
            if isinstance(command, click.Group):
                yield from commands(command, (*path, name))
            else:
                yield " ".join((*path, name)), command


def takes_text(param: click.Parameter) -> bool:
    return not (isinstance(param, click.Option) and (param.is_flag or param.hidden))


PARAMETERS = [
    pytest.param(path, command, param, id=f"{path} {param.name}")
    for path, command in commands(Root("agentctl"))
    for param in command.params
    if takes_text(param) and (path, param.name) not in TEXTS
]


SAMPLES = {"group": "g-0a1b2c", "adapter": "demo", "shell": "bash", "by": "1h"}
"""Parameter → a value that it takes; any other takes `x`."""


def words_with(path: str, command: click.Command, param: click.Parameter, value: str) -> Sequence[str]:
    """A command line with everything that is required, and `value` for this parameter."""
    words = path.split()
    is_placed = isinstance(param, click.Argument)
    for each in command.params:
        given = value if each is param else SAMPLES.get(each.name or "", "x")
        if isinstance(each, click.Option) and (each.required or each is param):
            words += [each.opts[0], given]
        elif isinstance(each, click.Argument) and (is_placed or each.required):
            words.append(given)
        if is_placed and each is param:
            is_placed = False
    return words


def test_every_command_is_walked() -> None:
    walked = {path.split()[0] for path, _ in commands(Root("agentctl"))}
    assert walked == set(COMMANDS)
    assert len(PARAMETERS) > 80


@pytest.mark.parametrize(("path", "command", "param"), PARAMETERS)
def test_an_empty_argument_is_a_usage_error(
    run: Run, path: str, command: click.Command, param: click.Parameter
) -> None:
    refused = run(words_with(path, command, param, ""), exit=2)
    assert refused.stdout == ""
    assert "empty" in refused.stderr or "''" in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["status", ""], "session ID is empty"),
        (["stop", "x", ""], "session ID is empty"),
        (["launch", ""], "adapter is empty"),
        (["launch", "demo", "-p", "x", "--name", ""], "--name is empty"),
        (["launch", "demo", "--prompt-file", ""], "--prompt-file is empty"),
        (["lock", ""], "DIR is empty"),
    ],
)
def test_what_is_empty_is_named(run: Run, words: list[str], said: str) -> None:
    assert said in run(words, exit=2).stderr


FILES = [
    ["launch", "demo", "--prompt-file", "{}"],
    ["launch", "demo", "-p", "x", "--file", "{}"],
    ["launch", "demo", "--spec", "{}"],
    ["launch", "--matrix", "{}"],
    ["resume", "x", "--prompt-file", "{}"],
]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "work"
    make_repository(made)
    monkeypatch.chdir(made)
    return made


@pytest.mark.parametrize("words", FILES, ids=" ".join)
def test_a_file_that_is_named(run: Run, work: Path, words: list[str]) -> None:
    (work / "folder").mkdir()
    (work / "bytes").write_bytes(b"\xff\xfe\0")
    (work / "nul").write_bytes(b"a\0b")

    def refused(path: str, code: int) -> str:
        return run([word.format(path) for word in words], exit=code).stderr

    assert "gone does not exist" in refused("gone", 10)
    assert "bytes/below does not exist" in refused("bytes/below", 10)
    assert "folder is a directory" in refused("folder", 2)
    assert "bytes is not text" in refused("bytes", 2)
    assert "nul is not text" in refused("nul", 2)
    assert run("list -a -q").stdout == ""


DIRECTORIES = [
    ["launch", "demo", "-p", "x", "--cwd", "{}"],
    ["launch", "demo", "-p", "x", "--file", "README", "--cwd", "{}"],
    ["launch", "demo", "-p", "x", "--worktree", "{}"],
    ["lock", "{}"],
    ["unlock", "{}"],
    ["fuse", "set", "{}", "--for", "1h"],
    ["worktree", "list", "{}"],
    ["worktree", "clean", "--merged", "--repo", "{}"],
    ["worktree", "clean", "{}"],
    ["worktree", "restore", "x", "--repo", "{}"],
    ["import", "{}"],
    ["metrics", "-o", "{}/file"],
]


@pytest.mark.parametrize("words", DIRECTORIES, ids=" ".join)
def test_a_directory_that_does_not_exist(run: Run, work: Path, words: list[str]) -> None:
    gone = run([word.format("./gone") for word in words], exit=10)
    assert "gone" in gone.stderr
    assert run("list -a -q").stdout == ""


def test_a_matrix_file_may_name_a_directory_too(run: Run, work: Path) -> None:
    Path("m.yaml").write_text("cwd: ./gone\nprompt: x\nmatrix:\n- adapter: demo\n")
    assert "directory ./gone: No such file" in run("launch --matrix m.yaml", exit=10).stderr


def typed(words: Sequence[str], text: bytes, *, wait_for: bytes) -> tuple[int, str]:
    """The exit code and standard error of a command at a terminal where this is typed once it asks."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "agentctl", *words],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    os.close(theirs)
    assert process.stderr is not None
    told = b""
    for _ in waiting.ticks(interval=0.02, timeout=30):
        if select.select([process.stderr], [], [], 0)[0]:
            more = os.read(process.stderr.fileno(), 4096)
            told += more
            if not more or wait_for in told:
                break
    else:
        process.kill()
    os.write(ours, text)
    _, rest = process.communicate(timeout=30)
    os.close(ours)
    return process.returncode, (told + rest).decode()


def test_reading_from_a_terminal_is_announced(run: Run, work: Path) -> None:
    """Takes some seconds: two real commands."""
    said = "reading the prompt from standard input; end it with ctrl-D"
    words = ["launch", "demo", "--settle", "0s", "--wait", "-"]
    code, told = typed(words, b"Say hello\n\x04", wait_for=b"ctrl-D")
    assert (code, said in told) == (0, True), told
    (session,) = run("list -a --json").json()["sessions"]
    assert session["prompt"] == "Say hello\n"

    said = "reading the message from standard input; end it with ctrl-D"
    code, told = typed(["resume", session["id"], "--wait", "-"], b"And again\n\x04", wait_for=b"ctrl-D")
    assert (code, said in told) == (12, True), told
    assert "demo cannot resume" in told, "what was typed was the message"


def test_reading_from_a_pipe_is_not_announced(work: Path) -> None:
    words = [sys.executable, "-P", "-m", "agentctl", "launch", "demo", "--wait", "-"]
    done = subprocess.run(words, input="Say hello", capture_output=True, text=True, timeout=60, check=True)
    assert "standard input" not in done.stderr
