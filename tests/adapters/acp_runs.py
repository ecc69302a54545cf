"""What the tests of the ACP runner share: a real runner with a fake agent that misbehaves on request."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from agentctl.adapters.acp.commands import RUNNER

AGENT = Path(__file__).parent.parent / "fake_acp_agent.py"
QUICK = ("--grace", "0.4")
"""For agents that do not leave by themselves: these are soon made to."""


@dataclass(frozen=True, slots=True)
class Lead:
    """One runner at work, and its log."""

    child: subprocess.Popen[bytes]
    log: Path

    def records(self, kind: str = "") -> list[dict[str, Any]]:
        """The records that are whole, all or those of one kind."""
        *whole, _ = self.log.read_bytes().split(b"\n")
        return [record for line in whole if kind in (record := json.loads(line))["type"]]

    def frames(self, kind: str = "") -> list[dict[str, Any]]:
        return [record["frame"] for record in self.records(kind) if "frame" in record]

    def sent(self) -> list[str]:
        """The methods of what was sent."""
        return [frame["method"] for frame in self.frames("out") if "method" in frame]

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def agent(self) -> int:
        pid: int = self.records("start")[0]["pid"]
        return pid

    def exit(self) -> int:
        return self.child.wait(timeout=30)

    def end(self) -> dict[str, Any]:
        """The last record, which is the only one of its kind. Nothing of the agent is left by then."""
        self.exit()
        (end,) = self.records("end")
        assert self.records()[-1] is not None and self.records()[-1] == end
        for started in self.records("start"):
            assert not members(started["pid"])
        return end


def members(group: int) -> list[psutil.Process]:
    """The living processes of a process group."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, ProcessLookupError, PermissionError):
            continue
    return found


class Start:
    """Starts runners, and ends what a test leaves at work."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.leads: list[Lead] = []

    def __call__(
        self,
        *orders: str,
        options: tuple[str, ...] = (),
        prompt: str | bytes = "Do it",
        words: tuple[str, ...] | None = None,
    ) -> Lead:
        log, given = self.directory / f"log-{len(self.leads)}", self.directory / "prompt"
        given.write_bytes(prompt if isinstance(prompt, bytes) else prompt.encode())
        command = words or (sys.executable, str(AGENT), *orders)
        with log.open("ab") as output, given.open("rb") as input_file:
            child = subprocess.Popen(
                (sys.executable, "-I", "-S", "-u", RUNNER, *options, "--", *command),
                stdin=input_file,
                stdout=output,
                stderr=output,
                cwd=self.directory,
            )
        lead = Lead(child, log)
        self.leads.append(lead)
        return lead

    def close(self) -> None:
        for lead in self.leads:
            if lead.child.poll() is None:
                lead.child.kill()
                lead.child.wait()
            started = lead.records("start")
            for process in members(started[0]["pid"]) if started else []:
                process.send_signal(signal.SIGKILL)
