"""`logs` and `peek` on real sessions: what is printed, when following ends, what no terminal gets."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentctl.core.model import Held
from agentctl.host import flock
from agentctl.host.waiting import poll

if TYPE_CHECKING:
    from tests.conftest import Run, WaitUntil

DATA = Path(__file__).parent.parent / "data"
PACE = {"AGENTCTL_DEMO_PACE": "0.001"}
WITH_TOOL = "ses_dfdd44402ffe0Nee54DEE0wVPF"
"""In the recorded store: a prompt, a tool, an answer."""


def launch(run: Run, *words: str) -> str:
    """Launch the one session of a test; its id, whether or not it has failed by then."""
    run(["launch", *words[:1], "--settle", "0", *words[1:]], env=PACE, exit=None)
    (session,) = run("list -a -q").lines
    return session


def shell(run: Run, script: str) -> str:
    """Launch a shell script under exec; its session's id."""
    return launch(run, "exec", "--", "sh", "-c", script)


def ended(run: Run, session: str) -> str:
    """The same id, once nothing of the session is left: its shim has let its lock go."""
    lock = str(log_of(run, session).with_name("lock"))
    assert poll(lambda: flock.probe(lock) is Held.NO, timeout=20)
    return session


def stop(run: Run, session: str) -> None:
    run(f"stop --force {session}")
    ended(run, session)


def log_of(run: Run, session: str) -> Path:
    return Path(run(f"status --json {session}").json()["sessions"][0]["log_path"])


@contextmanager
def started(words: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The command line as a process of its own, with its output in a pipe; ended afterwards."""
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "agentctl", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def next_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    line: bytes = process.stdout.readline()
    return line


@pytest.fixture
def external(sealed_home: Path) -> str:
    """A session in OpenCode's own store, which agentctl did not launch."""
    store = Path(os.environ["XDG_DATA_HOME"], "opencode")
    store.mkdir(parents=True)
    shutil.copy(DATA / "opencode" / "opencode-1.18.33.db", store / "opencode.db")
    return WITH_TOOL


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", [str(number) for number in range(951, 1001)]),
        ("-n 2", ["999", "1000"]),
        ("--lines 1", ["1000"]),
        ("-n 0", []),
        ("-n 5000", [str(number) for number in range(1, 1001)]),
        ("-f -n 3", ["998", "999", "1000"]),
        ("-f -n 0", []),
        ("--raw -n 2", ["999", "1000"]),
        ("--raw -f -n 2", ["999", "1000"]),
    ],
)
def test_the_last_lines(run: Run, options: str, expected: list[str]) -> None:
    session = ended(run, shell(run, "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); echo $i; done"))
    outcome = run(f"logs {options} {session}")
    assert (outcome.lines, outcome.stderr) == (expected, "")


def test_standard_error_is_part_of_it(run: Run) -> None:
    session = ended(run, shell(run, "echo out; echo err >&2; exit 3"))
    assert run(f"logs {session[:8]}").lines == ["out", "err"]


def test_a_session_without_output_prints_nothing(run: Run) -> None:
    session = ended(run, shell(run, ":"))
    for options in ("", "-f", "--raw"):
        assert run(f"logs {options} {session}").stdout == ""
    assert run(f"logs --json {session}").json() == {
        "schema_version": 1,
        "session_id": session,
        "messages": [],
    }


def test_a_log_that_was_deleted_is_empty(run: Run) -> None:
    session = ended(run, shell(run, "echo gone"))
    log_of(run, session).unlink()
    for options in ("", "-f", "--raw"):
        assert run(f"logs {options} {session}").stdout == ""


def test_nothing_that_a_terminal_obeys_is_printed(run: Run) -> None:
    hostile = r"\033]0;owned\007red \033[31malert\033[0m\rover\t|\342\200\256\377"
    session = ended(run, shell(run, f"printf '{hostile}'"))
    assert run(f"logs {session}").stdout == "red alert\nover\t|\ufffd\n"
    assert run(f"peek {session}").stdout == "red alert\nover\t|\ufffd\n"


def test_raw_is_byte_by_byte(run: Run) -> None:
    session = ended(run, shell(run, r"printf 'a\r\n\033[31m\377\0 no newline'"))
    with started(["logs", "--raw", session]) as process:
        raw, _ = process.communicate(timeout=20)
    assert raw == log_of(run, session).read_bytes() == b"a\r\n\x1b[31m\xff\0 no newline"


def test_what_an_agent_writes_for_programs_is_made_readable(run: Run) -> None:
    session = ended(run, launch(run, "demo", "-p", "do fail"))
    assert run(f"logs {session}").lines == [
        "Let me see what is asked.",
        "You gave me 2 words: do fail",
        "This is the demo agent: it calls no model and changes no file.",
        "error: the prompt asked for a failure",
    ]
    # The last two lines of the log make one line for people: the window grows until there are enough.
    assert run(f"logs -n 2 {session}").lines == [
        "This is the demo agent: it calls no model and changes no file.",
        "error: the prompt asked for a failure",
    ]
    raw = run(f"logs --raw -n 1 {session}").json()
    assert (raw["type"], raw["text"]) == ("error", "the prompt asked for a failure")


def test_records_that_show_nothing_do_not_use_up_the_lines(run: Run) -> None:
    session = ended(run, launch(run, "demo", "-p", "hello"))
    said = "".join(json.dumps({"type": "text", "text": f"answer {number}"}) + "\n" for number in range(9))
    log_of(run, session).write_text(said + '{"type": "usage", "input": 1}\n' * 5000)
    assert run(f"logs -n 2 {session}").lines == ["answer 7", "answer 8"]
    assert run(f"logs -f -n 2 {session}").lines == ["answer 7", "answer 8"]
    assert len(run(f"logs --json -n 3 {session}").json()["messages"]) == 3
    assert run(f"logs -n 50 {session}").lines == [f"answer {number}" for number in range(9)]


def test_the_log_outlives_the_adapter(run: Run, sealed_home: Path) -> None:
    """A row of an adapter whose package was removed: its output is shown as it is."""
    session = ended(run, shell(run, "echo one; echo two"))
    with closing(sqlite3.connect(sealed_home / "agentctl.db")) as db, db:
        db.execute("UPDATE sessions SET adapter = 'removed'")
    assert run(f"logs -n 1 {session}").lines == ["two"]
    outcome = run(f"peek {session}")
    assert outcome.lines == ["one", "two"]
    assert "removed keeps no conversation" in outcome.stderr


def test_json_has_entries(run: Run) -> None:
    session = ended(run, launch(run, "demo", "-p", "do fail"))
    document = run(f"logs --json -n 2 {session}").json()
    assert document.keys() == {"schema_version", "session_id", "messages"}
    assert [(one["role"], one["tool"]) for one in document["messages"]] == [
        ("assistant", None),
        ("error", None),
    ]
    assert document["messages"][1]["at"].endswith("Z")


def test_json_while_following_is_a_document_a_line(run: Run) -> None:
    session = ended(run, launch(run, "demo", "-p", "hello"))
    documents: list[dict[str, Any]] = [json.loads(line) for line in run(f"logs -f --json {session}").lines]
    assert [one["role"] for one in documents] == ["log", *["assistant"] * 4]
    assert {one["session_id"] for one in documents} == {session}
    assert all(
        one.keys() == {"schema_version", "session_id", "role", "text", "at", "tool"} for one in documents
    )


def test_follow_prints_what_comes_until_the_end(run: Run, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    script = f"echo old; echo begun; until [ -e '{gate}' ]; do sleep 0.02; done; printf 'late\\nlast'"
    session = shell(run, script)
    with started(["logs", "-f", "-n", "1", session]) as process:
        assert next_line(process) in (b"begun\n", b"old\n")
        assert process.poll() is None
        gate.touch()
        rest, errors = process.communicate(timeout=20)
    ended(run, session)
    assert rest.endswith(b"late\nlast\n")
    assert (process.returncode, errors) == (0, b"")


def test_a_line_that_is_not_whole_yet_is_not_torn(run: Run, tmp_path: Path, wait_until: WaitUntil) -> None:
    gate = tmp_path / "gate"
    script = f"echo one; printf half; until [ -e '{gate}' ]; do sleep 0.02; done; echo ' whole'"
    session = shell(run, script)
    wait_until(lambda: log_of(run, session).read_text().endswith("half"))
    with started(["logs", "-f", session]) as process:
        assert next_line(process) == b"one\n"
        gate.touch()
        rest, _ = process.communicate(timeout=20)
    ended(run, session)
    assert rest == b"half whole\n"


def test_raw_following_does_not_wait_for_a_newline(run: Run, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    session = shell(run, f"printf 'Password: '; until [ -e '{gate}' ]; do sleep 0.02; done")
    with started(["logs", "-f", "--raw", session]) as process:
        assert process.stdout is not None
        assert process.stdout.read(10) == b"Password: "
        gate.touch()
        assert process.communicate(timeout=20) == (b"", b"")
    ended(run, session)


def test_following_is_interrupted_with_130(run: Run) -> None:
    session = shell(run, "echo ready; sleep 60")
    with started(["logs", "-f", session]) as process:
        assert next_line(process) == b"ready\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, b"")
    assert run(f"status --json {session}").json()["sessions"][0]["status"] == "running"
    stop(run, session)


def test_following_ends_when_its_reader_has_left(run: Run) -> None:
    """`logs -f | head -1` of an agent that says nothing more: nobody has to wait for its end."""
    session = shell(run, "echo ready; sleep 60")
    with started(["logs", "-f", session]) as process:
        assert next_line(process) == b"ready\n"
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
    stop(run, session)


def test_a_closed_pipe_ends_quietly(run: Run) -> None:
    session = shell(run, "while :; do echo line; done")
    with started(["logs", "-f", session]) as process:
        assert next_line(process) == b"line\n"
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
    stop(run, session)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("logs", 2),
        ("logs -n -1 abc", 2),
        ("logs -n many abc", 2),
        ("logs --raw --json abc", 2),
        ("logs abc", 10),
        ("peek", 2),
        ("peek -n -1 abc", 2),
        ("peek abc", 10),
    ],
)
def test_refusals(run: Run, command: str, code: int) -> None:
    outcome = run(command, exit=code)
    assert outcome.stdout == ""
    assert outcome.stderr


def test_peek_shows_what_the_agent_said(run: Run) -> None:
    session = ended(run, launch(run, "demo", "-p", "hello"))
    outcome = run(f"peek {session}")
    assert outcome.stderr == ""
    assert outcome.lines == [
        "You gave me 1 word: hello",
        "---",
        "This is the demo agent: it calls no model and changes no file.",
        "---",
        "A real agent would be at work now.",
        "---",
        "That is all.",
    ]
    assert run(f"peek -n 1 {session}").stdout == "That is all.\n"
    assert run(f"peek -n 0 {session}").stdout == ""


def test_peek_as_json(run: Run) -> None:
    session = ended(run, launch(run, "demo", "-p", "hello"))
    document = run(f"peek --json -n 1 {session}").json()
    assert document.keys() == {"schema_version", "session_id", "messages", "note"}
    assert (document["session_id"], document["note"]) == (session, None)
    assert [(one["role"], one["text"]) for one in document["messages"]] == [("assistant", "That is all.")]


def test_peek_of_an_agent_that_has_not_spoken(run: Run) -> None:
    session = launch(run, "demo", "-p", "slow 300")
    outcome = run(f"peek {session}")
    assert outcome.stdout == ""
    assert "no messages yet" in outcome.stderr
    assert run(f"peek --json {session}").json()["messages"] == []
    stop(run, session)


def test_peek_of_a_command_shows_its_output_and_says_so(run: Run) -> None:
    session = ended(run, shell(run, "echo one; echo two; echo three"))
    outcome = run(f"peek -n 2 {session}")
    assert outcome.lines == ["two", "three"]
    assert "exec keeps no conversation" in outcome.stderr
    document = run(f"peek --json -n 2 {session}").json()
    assert "exec keeps no conversation" in document["note"]
    assert [one["role"] for one in document["messages"]] == ["log", "log"]


def test_an_external_session_shows_its_transcript(run: Run, external: str) -> None:
    assert run(f"logs {external}").lines == [
        "> Write hello.txt.",
        "calling tool",
        "[write] hello.txt → Wrote file successfully.",
        "Hello from mock",
    ]
    assert run(f"logs -n 1 {external}").lines == ["Hello from mock"]
    assert run(f"peek {external}").lines == ["calling tool", "---", "Hello from mock"]
    roles = [one["role"] for one in run(f"logs --json {external}").json()["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant"]


@pytest.mark.parametrize("option", ["-f", "--raw", "-f --json"])
def test_an_external_session_has_no_log_to_follow(run: Run, external: str, option: str) -> None:
    outcome = run(f"logs {option} {external}", exit=2)
    assert outcome.stdout == ""
    assert "not launched by agentctl" in outcome.stderr
    assert "agentctl peek" in outcome.stderr


def test_an_early_failure_shows_its_last_lines_as_people_read_them(run: Run) -> None:
    said = run(["launch", "demo", "-p", "fail", "--settle", "20s"], exit=1).stderr
    assert "ended at once" in said
    assert len(said.splitlines()) > 2
    assert '"type"' not in said, "no record as the agent prints it"
