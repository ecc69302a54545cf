"""Process 1 of a pid namespace: kills sessions and gives their agents' pids to strangers.

Started by `unshare --pid --fork --mount-proc`. Prints what became of sessions and
strangers as one JSON document.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from agentctl.host.waiting import poll

AGENTCTL = (sys.executable, "-P", "-m", "agentctl")
LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


def agentctl(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*AGENTCTL, *words], capture_output=True, text=True, check=False)


def bury() -> None:
    """Reap orphans: this process is the init of its namespace."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def killed_session(number: int) -> tuple[str, int]:
    """A session whose shim and agent were killed and buried: its id and the agent's pid."""
    place = Path(f"work-{number}").absolute()
    place.mkdir()
    launched = agentctl(
        "launch", "exec", "--settle", "0s", "--fuse", "1h", "--cwd", str(place), "--", "sleep", "300"
    )
    session_id = launched.stdout.strip()
    words = Path(os.environ["AGENTCTL_HOME"], "sessions", session_id, "pid").read_text().split()
    agent, shim = int(words[0]), int(words[3])
    for pid in (shim, agent):
        os.kill(pid, signal.SIGKILL)

    def is_buried() -> bool:
        bury()
        return not Path(f"/proc/{agent}").exists() and not Path(f"/proc/{shim}").exists()

    poll(is_buried, timeout=10)
    return session_id, agent


def stranger_with(pid: int) -> subprocess.Popen[bytes]:
    """A foreign process, given this pid if the kernel can be had to do so."""
    LAST_PID.write_text(str(pid - 1))
    return subprocess.Popen(["sleep", "300"], start_new_session=True, env={"PATH": os.environ["PATH"]})


def main() -> None:
    sessions = [killed_session(number) for number in range(2)]
    strangers = [stranger_with(pid) for _, pid in sessions]
    reused = [stranger.pid == pid for stranger, (_, pid) in zip(strangers, sessions, strict=True)]
    # The first is stopped before anybody has looked at it, the second is found by list and reap.
    stopped = agentctl("stop", sessions[0][0], "--force")
    listed = agentctl("list", "-q")
    reaped = agentctl("reap")
    outcomes = [
        json.loads(agentctl("status", session_id, "--json").stdout)["sessions"][0]["outcome"]
        for session_id, _ in sessions
    ]
    seen = {
        "reused": reused,
        "unharmed": [stranger.poll() is None for stranger in strangers],
        "outcomes": outcomes,
        "exit": {"list": listed.returncode, "stop": stopped.returncode, "reap": reaped.returncode},
    }
    for stranger in strangers:
        stranger.kill()
        stranger.wait()
    sys.stdout.write(json.dumps(seen))


if __name__ == "__main__":
    main()
