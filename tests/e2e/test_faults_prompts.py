"""Hostile, huge and binary prompts reach the agent byte for byte, and the terminal cleaned."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from agentctl.core.model import Outcome
from tests.conftest import Run, WaitUntil
from tests.e2e.fault_tools import AGENTCTL, PATIENCE, finish, row

PROMPTS: dict[str, bytes] = {
    "a dash": b"-",
    "an option": b"--help",
    "two dashes": b"-- --force",
    "quotes": b"""it's "quoted" `touch x` $(touch x) $HOME \\n \\""",
    "newlines": b"\n\nfirst\r\nsecond\rthird\n\n",
    "only blanks": b" \t \n",
    "escapes": b"\x1b[2J\x1b]0;title\x07red\x1b[31m\x9b31m\x08\x7f",
    "emoji": "⚙️ 👩‍👩‍👧‍👦 你好 \u202egnp.exe".encode(),
    "invalid UTF-8": b"\xff\xfe\x80 caf\xe9 \xed\xa0\x80 \xf5",
    "a percent": b"%s %n %d {0} {x} %(name)s",
    "one mebibyte": (b"All work and no play. \xe4\xbd\xa0\n" * 50_000)[: 1024 * 1024],
}
WITH_NUL: dict[str, bytes] = {"NUL": b"before\0after\0", "only NUL": b"\0", "binary": bytes(range(256)) * 40}

AGENT = ("sh", "-c", "cat >got.new; mv got.new got")


def given(way: str, prompt: bytes, file: Path) -> list[str]:
    """The words that hand over a prompt in this way; `file` holds it."""
    return {
        "option": ["-p", os.fsdecode(prompt)],
        "long option": [f"--prompt={os.fsdecode(prompt)}"],
        "file": ["--prompt-file", str(file)],
        "stdin": ["-"],
        "stdin by name": ["--prompt-file", "-"],
    }[way]


def launch_with(way: str, prompt: bytes, place: Path) -> subprocess.Popen[str]:
    """A launch under way whose agent writes what it is told to `got`."""
    place.mkdir()
    file = place / "prompt"
    file.write_bytes(prompt)
    words = ["launch", "exec", "--settle", "0s", "--cwd", str(place), *given(way, prompt, file), "--", *AGENT]
    with file.open("rb") as stdin:
        return subprocess.Popen(
            [*AGENTCTL, *words], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )


def is_clean(printed: str) -> bool:
    """Nothing in it that a terminal would obey."""
    return not any(
        (ord(char) < 32 and char not in "\n\t")
        or 0x7F <= ord(char) <= 0x9F
        or 0xD800 <= ord(char) <= 0xDFFF
        or char == "\u202e"
        for char in printed
    )


def is_text(prompt: bytes) -> bool:
    try:
        return "\0" not in prompt.decode()
    except UnicodeDecodeError:
        return False


@pytest.mark.parametrize("name", ["invalid UTF-8", "escapes", *WITH_NUL])
def test_a_prompt_file_that_is_not_text_is_refused(name: str, tmp_path: Path, run: Run) -> None:
    file = tmp_path / "prompt"
    file.write_bytes((PROMPTS | WITH_NUL)[name])
    assert "is not text" in run(["launch", "exec", "--prompt-file", str(file), "--", "cat"], exit=2).stderr


@pytest.mark.parametrize("way", ["file", "stdin", "stdin by name", "option", "long option"])
def test_every_prompt_arrives_byte_for_byte_is_stored_so_and_shown_cleaned(
    way: str, tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    """Takes some seconds: a launch for each prompt, side by side."""
    prompts = {"empty": b"", **PROMPTS}
    if "option" in way:
        del prompts["one mebibyte"]  # longer than an argument may be
    else:
        prompts |= WITH_NUL  # no argument can hold one
    if way == "file":
        prompts = {name: prompt for name, prompt in prompts.items() if is_text(prompt)}
    launches = {name: launch_with(way, prompt, tmp_path / f"work {name}") for name, prompt in prompts.items()}
    ids = {}
    for name, each in launches.items():
        launched = finish(each)
        assert launched.exit == 0, f"{name}: {launched.stderr}"
        ids[name] = launched.stdout.strip()
    for name, prompt in prompts.items():
        place = tmp_path / f"work {name}"
        wait_until((place / "got").exists, timeout=PATIENCE)
        assert (place / "got").read_bytes() == prompt, name
        assert sorted(os.listdir(place)) == ["got", "prompt"], name
    wait_until(lambda: all(row(each).outcome is Outcome.SUCCEEDED for each in ids.values()), timeout=PATIENCE)
    for name, prompt in prompts.items():
        assert os.fsencode(row(ids[name]).prompt or "") == prompt, name

    listed = run("list -a")
    assert len(listed.lines) == 1 + len(prompts)
    assert {line[:8] for line in listed.lines[1:]} == {each[:8] for each in ids.values()}
    assert max(map(len, listed.lines)) < 2000
    assert is_clean(listed.stdout)
    assert is_clean(run(["status", *ids.values()]).stdout)
    shown = run(["status", "--json", *ids.values()]).json()["sessions"]
    assert [each["id"] for each in shown] == list(ids.values())
    if "emoji" in ids:
        by_id = {each["id"]: each["prompt"] for each in shown}
        assert by_id[ids["emoji"]].encode() == prompts["emoji"]


@pytest.mark.parametrize("given", [["-p", ""], ["-p", " \n"], ["--prompt-file", "/dev/null"], []])
def test_an_agent_that_needs_a_prompt_is_not_started_without_one(
    given: list[str], tmp_path: Path, run: Run
) -> None:
    refused = run(["launch", "demo", "--cwd", str(tmp_path), *given], exit=2)
    assert "prompt" in refused.stderr
    assert run("list -aq").lines == []


def test_the_prompt_is_in_no_argument_vector(tmp_path: Path, run: Run, wait_until: WaitUntil) -> None:
    secret = "the-prompt-that-nobody-sees-in-ps"
    file = tmp_path / "prompt"
    file.write_text(secret)
    (tmp_path / "work").mkdir()
    words = ["launch", "exec", "--settle", "0s", "--cwd", str(tmp_path / "work")]
    session_id = run([*words, "--prompt-file", str(file), "--", "sleep", "300"]).stdout.strip()
    seen = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert any(b"sleep" in each for each in seen)
    assert not any(secret.encode() in each for each in seen)
    run(["stop", session_id, "--force"])


def test_the_demo_agent_reads_one_mebibyte_and_its_prompt_is_cut_in_the_table(
    tmp_path: Path, run: Run, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTCTL_DEMO_PACE", "0")
    file = tmp_path / "prompt"
    file.write_bytes(b"word " * 200_000)
    words = ["launch", "demo", "--cwd", str(tmp_path), "--prompt-file", str(file), "--wait"]
    session_id = run(words).lines[0]
    assert row(session_id).outcome is Outcome.SUCCEEDED
    assert max(map(len, run("list -a").lines)) < 2000
    assert "200000 words" in run(["logs", session_id]).stdout


def test_what_agents_print_is_cleaned_too_and_raw_on_request(
    tmp_path: Path, run: Run, wait_until: WaitUntil
) -> None:
    text = (
        b"\n".join((PROMPTS | WITH_NUL)[name] for name in ("escapes", "invalid UTF-8", "emoji", "binary"))
        + b"\n"
    )
    (tmp_path / "text").write_bytes(text)
    words = ["launch", "exec", "--settle", "0s", "--cwd", str(tmp_path), "--", "cat", "text"]
    session_id = run(words).stdout.strip()
    wait_until(lambda: row(session_id).is_final, timeout=PATIENCE)
    printed = run(["logs", session_id, "-n", "1000"]).stdout
    assert "red" in printed
    assert is_clean(printed)
    raw = subprocess.run(
        [*AGENTCTL, "logs", session_id, "--raw", "-n", "1000"], capture_output=True, check=True
    )
    assert raw.stdout == text
