"""The manual pages: complete, well formed, and what the commands' help says."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import click
import pytest

from agentctl.cli import ALIASES, COMMANDS, EXAMPLES, EXIT_STATUS, SECTIONS, root
from agentctl.manpages import pages, parse_help

MAN = Path(__file__).parents[1] / "man"
SECTIONS_OF_A_PAGE = [
    "NAME",
    "SYNOPSIS",
    "DESCRIPTION",
    "OPTIONS",
    "ENVIRONMENT",
    "FILES",
    "EXIT STATUS",
    "EXAMPLES",
    "SEE ALSO",
]


@pytest.fixture
def generated(run: Any, tmp_path: Path) -> Path:
    """A directory with every page, written by the command."""
    run(["generate", "man", str(tmp_path / "man")])
    return tmp_path / "man"


def test_the_committed_pages_are_what_the_command_writes(generated: Path) -> None:
    committed = {path.name: path.read_text() for path in MAN.glob("*.1")}
    assert committed == {path.name: path.read_text() for path in generated.iterdir()}


def test_there_is_a_page_for_every_command(generated: Path) -> None:
    expected = {"agentctl.1", *(f"agentctl-{name}.1" for name in COMMANDS)}
    assert {path.name for path in generated.iterdir()} == expected


def test_every_page_has_every_section(generated: Path) -> None:
    for path in generated.iterdir():
        headings = [line[4:] for line in path.read_text().splitlines() if line.startswith(".Sh ")]
        assert [each for each in headings if each != "COMMANDS"] == SECTIONS_OF_A_PAGE, path.name


@pytest.mark.system
def test_the_pages_are_clean(generated: Path) -> None:
    files = sorted(str(path) for path in generated.iterdir())
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", *files], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.system
def test_a_page_reads_as_it_should(tmp_path: Path) -> None:
    """Dots at line starts, backslashes, hyphens and groups come out as they went in."""

    @click.group("tool")
    def tool() -> None:
        """Do things. It takes C:\\dir as it is.

        .hidden files are read, e.g. those of --all.

        \b
          As typed:   -x
          .also

        \b
        Examples:
          tool run --deep 'a  b'
        """

    @tool.command("run")
    @click.option("--deep", is_flag=True, help="Go deep.")
    @click.option("-n", "--number", default=3, show_default=True, help="How often.")
    @click.argument("words", nargs=-1)
    def run_it() -> None:
        """Run it.

        \b
        Exit status:
          0   it ran
          10  there was
              nothing
        """

    @click.group("agentctl", commands={"tool": tool})
    def top() -> None:
        """Be the top."""

    made = pages(
        top,
        {"All": {"tool": ("nowhere", "Do things.")}},
        aliases={"tools": "tool run"},
        examples=[],
        statuses={},
        version="1.2",
    )
    path = tmp_path / "agentctl-tool.1"
    path.write_text(made["agentctl-tool.1"])
    shown = subprocess.run(
        ["mandoc", "-T", "ascii", "-O", "width=100", str(path)], capture_output=True, text=True, check=True
    ).stdout
    while "\b" in shown:
        at = shown.index("\b")
        shown = shown[: at - 1] + shown[at + 1 :]  # overstruck for bold
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    for expected in (
        "agentctl-tool - do things",
        "agentctl tool run [OPTIONS] [WORDS ...]",
        "Do things. It takes C:\\dir as it is.",
        ".hidden files are read, e.g. those of --all.",
        ".also",
        "agentctl tools is another name of agentctl tool run.",
        "-n INTEGER, --number INTEGER",
        "How often. [default: 3]",
        "10 There was nothing.",
    ):
        assert expected in lines, f"{expected!r} is not in\n{shown}"
    assert "           tool run --deep 'a  b'" in shown.splitlines()


def test_the_pages_carry_no_date_and_are_the_same_every_time(generated: Path) -> None:
    first = (generated / "agentctl.1").read_text()
    assert ".Dd $Mdocdate$\n" in first
    aliases = {alias: target for alias, (_, target) in ALIASES.items()}
    again = pages(root, SECTIONS, aliases=aliases, examples=EXAMPLES, statuses=EXIT_STATUS, version="0.1.0")
    assert again["agentctl.1"] == first


def test_help_is_taken_apart() -> None:
    text = "Do it.\n\nMore.\n\n\b\nTable:\n  a  b\n\n\b\nExamples:\n  x\n  y\n\n\b\nExit status:\n  0  fine\n"
    parsed = parse_help(text)
    assert parsed.blocks == ((False, "Do it."), (False, "More."), (True, "Table:\n  a  b"))
    assert parsed.examples == "x\ny"
    assert parsed.statuses == (("0", "fine"),)
    assert parse_help("A.\n\n\b\nExit status: 0 done, 10 no such thing").statuses == (
        ("0", "done"),
        ("10", "no such thing"),
    )
