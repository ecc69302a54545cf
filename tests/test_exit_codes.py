"""Errors and their exit codes: the documented table, and `main`, which applies it."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from agentctl import cli, errors
from agentctl.errors import AgentctlError

DOCUMENTED = {
    AgentctlError: (1, "failed"),
    errors.OperationFailed: (1, "failed"),
    errors.UsageFault: (2, "usage"),
    errors.PartlyDone: (3, "partly_done"),
    errors.NotFound: (10, "not_found"),
    errors.Ambiguous: (10, "ambiguous"),
    errors.Locked: (11, "locked"),
    errors.AdapterUnavailable: (12, "adapter_unavailable"),
    errors.ProgramUnavailable: (12, "program_unavailable"),
    errors.StateUnusable: (13, "state_unusable"),
    errors.Interrupted: (130, "interrupted"),
}

BEYOND_ERRORS = {0, 70, 124, 130}
"""Success, a bug, a `wait` that timed out, an interrupt: codes that no error class has."""


def families(top: type[AgentctlError]) -> Iterator[type[AgentctlError]]:
    """The class and all below it, those of other modules too."""
    yield top
    for below in top.__subclasses__():
        yield from families(below)


def load_everything() -> None:
    """Import every module, so that every subclass exists."""
    import importlib

    package = Path(errors.__file__).parent
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        if parts[-1] not in ("__main__", "__init__"):
            importlib.import_module(".".join(parts))


def test_every_error_has_the_documented_code_and_slug() -> None:
    load_everything()
    for each in families(AgentctlError):
        documented = next(DOCUMENTED[parent] for parent in each.__mro__ if parent in DOCUMENTED)
        assert each.exit_code == documented[0], each
        if each in DOCUMENTED:
            assert each.slug == documented[1], each
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", each.slug)


def test_the_table_lists_every_class_of_errors() -> None:
    defined = {value for value in vars(errors).values() if isinstance(value, type)}
    assert defined == set(DOCUMENTED)


def test_help_explains_every_exit_code_and_no_other(run: Any) -> None:
    text = run("--help").stdout.partition("Exit status:")[2]
    told = {int(code) for code in re.findall(r"^\s+(\d+)\s", text, re.MULTILINE)}
    assert told == {code for code, _ in DOCUMENTED.values()} | BEYOND_ERRORS


Raising = Callable[[BaseException | Callable[[], object]], None]


@pytest.fixture
def raising(monkeypatch: pytest.MonkeyPatch) -> Raising:
    """Make `agentctl list --json` a command that raises this error, or does this."""

    def install(what: BaseException | Callable[[], object]) -> None:
        loose = {"ignore_unknown_options": True, "allow_extra_args": True}

        @click.command("list", context_settings=loose)
        def command() -> object:
            if isinstance(what, BaseException):
                raise what
            return what()

        monkeypatch.setattr(cli.Root, "get_command", lambda *_: command)

    return install


@pytest.mark.parametrize("error", DOCUMENTED)
def test_an_expected_error_is_a_message_a_hint_and_its_code(
    error: type[AgentctlError], raising: Raising, run: Any
) -> None:
    raising(error("the thing is gone", hint="make it again"))
    outcome = run("list", exit=error.exit_code)
    assert outcome.stderr == "agentctl: the thing is gone\nhint: make it again\n"
    assert outcome.stdout == ""


def test_with_json_an_error_is_one_object_on_standard_error(raising: Raising, run: Any) -> None:
    raising(errors.NotFound("no session x"))
    outcome = run("list --json", exit=10)
    assert json.loads(outcome.stderr) == {
        "error": {"code": "not_found", "message": "no session x", "hint": None}
    }


def test_json_after_two_dashes_belongs_to_the_agent(run: Any) -> None:
    assert run("lst -- --json", exit=2).stderr.startswith("agentctl: ")


def test_hostile_text_reaches_no_terminal(raising: Raising, run: Any) -> None:
    raising(errors.NotFound("\x1b]0;title\x07red \x1b[31mtext\x9b1m\b\u202e", hint="\x1b[2Jgone"))
    assert run("list", exit=10).stderr == "agentctl: red text\nhint: gone\n"


@pytest.mark.parametrize("words", [["list", "--no-such"], ["no-such-command"], ["--no-such"]])
def test_a_usage_error_says_where_help_is(words: list[str], run: Any) -> None:
    outcome = run(words, exit=2)
    assert outcome.stderr.startswith("agentctl: ")
    assert re.search(r"^hint: agentctl( list)? --help shows the usage$", outcome.stderr, re.MULTILINE)
    assert run([*words, "--json"], exit=2).error()["code"] == "usage"


@pytest.mark.parametrize(("typed", "meant"), [("lanch", "launch"), ("stauts", "status"), ("fuze", "fuse")])
def test_a_near_miss_is_told_what_was_meant(typed: str, meant: str, run: Any) -> None:
    assert f'hint: did you mean "{meant}"?' in run([typed], exit=2).stderr


def test_nothing_at_all_shows_the_help_and_is_a_usage_error(run: Any) -> None:
    outcome = run([], exit=2)
    assert "Sessions:" in outcome.stderr
    assert outcome.stdout == ""


def test_what_a_command_returns_is_its_exit_code(raising: Raising, run: Any) -> None:
    raising(lambda: 4)
    run("list", exit=4)
    raising(lambda: True)
    run("list", exit=0)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interrupt_is_quiet(error: BaseException, raising: Raising, run: Any) -> None:
    raising(error)
    outcome = run("list", exit=130)
    assert (outcome.stdout, outcome.stderr) == ("", "")


def test_a_bug_is_one_line_and_a_log(raising: Raising, run: Any, sealed_home: Path) -> None:
    raising(RuntimeError("two\nlines \x1b[31m"))
    outcome = run("list", exit=70)
    log = sealed_home / "internal-errors.log"
    assert outcome.stderr == f"agentctl: internal error: RuntimeError: two lines (details in {log})\n"
    text = log.read_text()
    assert "Traceback" in text
    assert "RuntimeError: two" in text
    assert re.search(r"agentctl \S+ list\npython 3\.\S+, click 8\.", text)
    assert log.stat().st_mode & 0o777 == 0o600
    assert run("list --json", exit=70).error()["code"] == "internal"


def test_a_bug_writes_no_arguments_down(raising: Raising, run: Any, sealed_home: Path) -> None:
    raising(RuntimeError("broken"))
    run(["launch", "--env", "KEY=hunter2", "-p", "hunter2"], exit=70)
    text = (sealed_home / "internal-errors.log").read_text()
    assert " launch\n" in text
    assert "hunter2" not in text


def test_a_bug_with_an_unusable_state_is_logged_elsewhere(raising: Raising, run: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    raising(RuntimeError("broken"))
    outcome = run("list", exit=70, env={"AGENTCTL_HOME": str(tmp_path / "file" / "below")})
    match = re.search(r"details in (\S+)\)", outcome.stderr)
    assert match
    assert Path(match[1]).parent == tmp_path / "tmp"
    assert "Traceback" in Path(match[1]).read_text()


def test_the_log_of_bugs_does_not_grow_forever(raising: Raising, run: Any, sealed_home: Path) -> None:
    sealed_home.mkdir()
    log = sealed_home / "internal-errors.log"
    log.write_text("x" * 1_000_001)
    raising(RuntimeError("broken"))
    run("list", exit=70)
    assert log.stat().st_size < 100_000
    assert (sealed_home / "internal-errors.log.1").stat().st_size == 1_000_001


def test_a_broken_pipe_of_a_command_is_a_bug_and_not_a_reader_that_left(raising: Raising, run: Any) -> None:
    def write_to_nobody() -> None:
        reading, writing = os.pipe()
        os.close(reading)
        try:
            os.write(writing, b"x")
        finally:
            os.close(writing)

    raising(write_to_nobody)
    assert "BrokenPipeError" in run("list", exit=70).stderr


def test_a_full_disk_is_not_a_bug(raising: Raising, run: Any) -> None:
    raising(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/state/agentctl.db"))
    assert run("list", exit=1).stderr == "agentctl: No space left on device: /state/agentctl.db\n"


UNBUFFERED = pytest.mark.parametrize("unbuffered", ["", "1"])


def start(words: list[str], **streams: Any) -> subprocess.Popen[bytes]:
    unbuffered = streams.pop("unbuffered", "")
    environ = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    return subprocess.Popen([sys.executable, "-P", "-m", "agentctl", *words], env=environ, **streams)


@UNBUFFERED
def test_a_reader_that_leaves_early_is_no_error(unbuffered: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = start(["--help"], stdout=writing, stderr=subprocess.PIPE, unbuffered=unbuffered)
    os.close(writing)
    assert process.communicate(timeout=30)[1] == b""
    assert process.returncode == 0


@UNBUFFERED
def test_output_that_cannot_be_written_is_a_failure(unbuffered: str) -> None:
    with open("/dev/full", "wb") as full:
        process = start(["--help"], stdout=full, stderr=subprocess.PIPE, unbuffered=unbuffered)
        said = process.communicate(timeout=30)[1].decode()
    assert process.returncode == 1
    assert said.startswith("agentctl: ")
    assert "No space left on device" in said
    assert said.count("\n") == 1


def test_an_error_without_a_reader_keeps_its_code() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = start(["no-such-command"], stderr=writing, stdout=subprocess.DEVNULL)
    os.close(writing)
    assert process.wait(timeout=30) == 2


def test_closed_standard_streams_are_survived() -> None:
    command = f"'{sys.executable}' -P -m agentctl --version <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], check=False, timeout=30).returncode == 0


@pytest.mark.parametrize("locale", ["C.UTF-8", "C", "POSIX", "xx_YY.ISO-8859-1"])
@pytest.mark.parametrize("utf8_mode", ["0", "1"])
def test_arguments_that_are_no_text_give_no_traceback(locale: str, utf8_mode: str) -> None:
    environ = {**os.environ, "LC_ALL": locale, "PYTHONUTF8": utf8_mode, "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [os.fsencode(sys.executable), b"-P", b"-m", b"agentctl", b"l\xff\xc3\xa9st", b"--json"],
        env=environ,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 2
    assert json.loads(done.stderr)["error"]["code"] == "usage"
    done = subprocess.run(
        [os.fsencode(sys.executable), b"-P", b"-m", b"agentctl", b"completion", b"\xff\xc3\xa9"],
        env=environ,
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, b"Traceback" in done.stderr) == (2, False)


def test_bytes_that_are_no_text_leave_as_they_came() -> None:
    probe = (
        "from agentctl import cli; import click\n"
        "cli.main(['--version'])\nclick.echo('a\\udcff\\u00e9\\ud800')\nclick.echo('b\\udcfe', err=True)"
    )
    environ = {**os.environ, "LC_ALL": "C.UTF-8", "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", probe], env=environ, capture_output=True, check=True, timeout=30
    )
    assert done.stdout.splitlines()[1] == b"a\xff\xc3\xa9\\ud800"
    assert done.stderr == b"b\xfe\n"


@pytest.fixture
def waiting_list(tmp_path: Path) -> tuple[list[str], Path]:
    """A command line whose `list` waits for ever, and the file that says that it does."""
    ready = tmp_path / "ready"
    probe = (
        "import pathlib, signal, sys, click\nfrom agentctl import cli\n"
        "@click.command('list')\ndef command():\n"
        f"    pathlib.Path({str(ready)!r}).touch()\n    signal.pause()\n"
        "cli.Root.get_command = lambda *_: command\nsys.exit(cli.main(['list']))"
    )
    return [sys.executable, "-P", "-c", probe], ready


def test_control_c_ends_a_real_process_quietly(waiting_list: tuple[list[str], Path], wait_until: Any) -> None:
    words, ready = waiting_list
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(ready.exists)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30) == (b"", b"")
    assert process.returncode == 130


def test_control_c_on_a_terminal_leaves_the_prompt_on_a_line_of_its_own(
    waiting_list: tuple[list[str], Path], wait_until: Any
) -> None:
    words, ready = waiting_list
    ours, theirs = pty.openpty()
    process = subprocess.Popen(words, stderr=theirs)
    wait_until(ready.exists)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert os.read(ours, 100) == b"\r\n"
    os.close(ours)
    os.close(theirs)
