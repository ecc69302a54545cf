"""The first look at thousands of an agent's transcripts: told at a terminal, and nowhere else."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

from tests.bench.worlds import home_with_transcripts

WORDS = [sys.executable, "-P", "-m", "agentctl", "list", "-a", "-q"]

COUNT = 450
"""More than are read before anything is told, and more than two of the steps in which they are kept."""


def at_a_terminal() -> str:
    """What a listing writes to a terminal that is its standard error."""
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(WORDS, stdout=subprocess.DEVNULL, stderr=theirs, timeout=60, check=True)
        assert done.returncode == 0
        os.write(theirs, b"END")
        told = b""
        while not told.endswith(b"END"):
            told += os.read(ours, 4096)
    finally:
        os.close(ours)
        os.close(theirs)
    return told.decode().removesuffix("END")


def test_a_first_listing_tells_whose_sessions_it_reads_and_cleans_up(sealed_home: Path) -> None:
    home_with_transcripts(Path(os.environ["HOME"]), "codex", COUNT, recent=COUNT)
    told = at_a_terminal()
    assert "reading the sessions of codex: 200 of 450" in told
    assert "reading the sessions of codex: 400 of 450" in told
    assert told.endswith("\r\x1b[K"), "the line goes once all is read"
    assert at_a_terminal() == "", "nothing has changed, so nothing is read"


def test_no_progress_where_nobody_looks(sealed_home: Path) -> None:
    home_with_transcripts(Path(os.environ["HOME"]), "codex", COUNT)
    done = subprocess.run(WORDS, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    assert len(done.stdout.split()) == 50, "those of the last week"
