"""Values of --env reach the agent as they are, and nothing else: no file, no argument vector, no hook."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import PATIENCE, document, launch, pids_of, processes_of, row

SECRET = "hush-7f3a91"
VALUES: dict[str, bytes] = {
    "PLAIN": b"value",
    "EMPTY": b"",
    "LINES": b"first\nsecond\n\nfourth\n",
    "QUOTES": b"""it's "quoted" `touch x` $(touch x) $HOME \\""",
    "BLANKS": b"  leading and trailing  ",
    "BYTES": b"caf\xe9 \xff\xfe",
    "EQUALS": b"a=b=c",
    "EMOJI": "👩‍👩‍👧‍👦".encode(),
    "LONG": b"x" * 100_000,
    "_under": b"1",
    "lower": b"2",
}
DUMP = (
    "import os\n"
    "with open('seen.new', 'wb') as file:\n"
    "    file.write(b'\\0\\0'.join(n + b'=' + v for n, v in os.environb.items()))\n"
    "os.rename('seen.new', 'seen')\n"
)


def environment_seen(place: Path, wait_until: WaitUntil) -> dict[str, bytes]:
    wait_until((place / "seen").exists, timeout=PATIENCE)
    pairs = (pair.partition(b"=") for pair in (place / "seen").read_bytes().split(b"\0\0"))
    return {os.fsdecode(name): value for name, _, value in pairs}


def everything_below(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def argument_vectors() -> dict[str, bytes]:
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found[str(path)] = path.read_bytes()
        except OSError:
            continue  # gone meanwhile
    return found


def test_values_arrive_byte_for_byte(tmp_path: Path, run: Run, wait_until: WaitUntil) -> None:
    place = tmp_path / "work"
    options = [word for name, value in VALUES.items() for word in ("--env", f"{name}={os.fsdecode(value)}")]
    session_id = launch(run, place, sys.executable, "-c", DUMP, options=options)
    seen = environment_seen(place, wait_until)
    assert {name: seen.get(name) for name in VALUES} == VALUES
    assert set(row(session_id).env_keys) == set(VALUES)
    ours = {name for name in seen if name.startswith("AGENTCTL_")}
    assert ours == {"AGENTCTL_HOME", "AGENTCTL_SESSION_ID", "AGENTCTL_DEPTH", "AGENTCTL_DEADLINE"}
    assert not (place / "x").exists()


def test_a_value_replaces_the_inherited_one_for_the_agent_alone(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    place = tmp_path / "work"
    hook = f'printf %s "$SHARED" >{tmp_path / "hooked"}'
    options = ["--env", "SHARED=for the agent", "--env", "PATH=/nowhere:/usr/bin:/bin", "--on-complete", hook]
    launch(run, place, sys.executable, "-c", DUMP, options=options, env={"SHARED": "of the launcher"})
    assert environment_seen(place, wait_until)["SHARED"] == b"for the agent"
    wait_until(lambda: (tmp_path / "hooked").exists() and (tmp_path / "hooked").read_text(), timeout=PATIENCE)
    assert (tmp_path / "hooked").read_text() == "of the launcher"


@pytest.mark.parametrize("shape", ["{}", "first\n{}\nlast", "'{}\"", "\\{}\\"])
def test_a_secret_is_in_no_file_and_in_no_argument_vector(
    shape: str, sealed_home: Path, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """Looked for while it runs, after it was stopped, and after it was rerun without it."""
    place = tmp_path / "work"
    value = shape.format(SECRET)
    hook = f"env >{tmp_path / 'hooked'}"
    script = DUMP + "import signal; signal.pause()"
    options = ["--env", f"TOKEN={value}", "--fuse", "1h", "--on-complete", hook]
    session_id = launch(run, place, sys.executable, "-c", script, options=options)
    assert environment_seen(place, wait_until)["TOKEN"] == value.encode()

    def leaks() -> list[str]:
        places = everything_below(sealed_home) | argument_vectors()
        return [where for where, content in places.items() if SECRET.encode() in content]

    assert any("agentctl.db" in where for where in everything_below(sealed_home))
    assert leaks() == []
    for command in (["status", session_id], ["why", session_id], ["list"], ["logs", session_id, "--raw"]):
        ran = run(command)
        assert SECRET not in ran.stdout + ran.stderr
    assert SECRET not in str(document(run, session_id))
    run(["stop", session_id])
    assert leaks() == []
    wait_until(lambda: processes_of(tmp_path) == {}, timeout=PATIENCE)
    assert SECRET not in (tmp_path / "hooked").read_text()
    refused = run(["rerun", session_id], exit=None)
    assert refused.exit != 0
    assert "TOKEN" in refused.stderr
    assert leaks() == []


def test_a_secret_in_a_launch_that_fails_is_not_written_down_either(
    sealed_home: Path, tmp_path: Path, run: Run
) -> None:
    words = ["launch", "exec", "--cwd", str(tmp_path), "--env", f"TOKEN={SECRET}"]
    for rest in (["--", "no-such-program"], ["--", "false"], ["--on-create", "false", "--", "true"]):
        ran = run([*words, *rest], exit=None)
        assert ran.exit in (1, 12), ran
        assert SECRET not in ran.stdout + ran.stderr
    assert [
        where for where, content in everything_below(sealed_home).items() if SECRET.encode() in content
    ] == []


def test_the_secret_is_in_the_environment_of_the_agent_and_of_no_helper(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """The shim has to hold it until it becomes the agent; the agent sees it under its own name alone."""
    place = tmp_path / "work"
    script = DUMP + "import signal; signal.pause()"
    session_id = launch(run, place, sys.executable, "-c", script, options=["--env", f"TOKEN={SECRET}"])
    seen = environment_seen(place, wait_until)
    assert [name for name, value in seen.items() if SECRET.encode() in value] == ["TOKEN"]
    agent = Path(f"/proc/{pids_of(session_id).agent}/environ")
    assert agent.stat().st_mode & 0o077 == 0
    run(["stop", session_id, "--force"])


@pytest.mark.parametrize(
    "pair", ["NOVALUE", "=x", "1ST=x", "A-B=x", "A B=x", "PWD=/", "IFS=x", "$(touch x)=1", ";=1"]
)
def test_a_name_that_no_shell_can_carry_is_refused(pair: str, tmp_path: Path, run: Run) -> None:
    refused = run(["launch", "exec", "--cwd", str(tmp_path), "--env", pair, "--", "true"], exit=2)
    assert "--env" in refused.stderr
    assert run("list -aq").lines == []
