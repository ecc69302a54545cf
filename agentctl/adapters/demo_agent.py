"""The program behind the `demo` adapter: an agent that needs no network, no key and no account.

Reads a prompt from standard input, "thinks", answers over some seconds, says what that
cost, and exits with 0. Writes one JSON object per line to standard output:

    {"type": "start",    "at": …, "model": "demo-1"}
    {"type": "thinking", "at": …, "text": …}
    {"type": "text",     "at": …, "text": …}
    {"type": "tool",     "at": …, "name": "sleep", "text": "sleep 300", "pid": 4242}
    {"type": "usage",    "at": …, "model": …, "input": 7, "output": 31, "cost_usd": 0.0, "turns": 1}
    {"type": "error",    "at": …, "text": …}

Tokens are words. A word of the prompt makes it misbehave:

    fail      reports an error and exits with 1
    lie       reports an error and exits with 0
    hang      waits forever, until a signal ends it
    stubborn  ignores TERM and INT, and waits forever
    crash     kills itself with KILL in the middle of its answer
    tool      runs `sleep 300` in a session of its own, and waits for it
    slow N    takes N seconds

AGENTCTL_DEMO_PACE is the pause between two lines in seconds, 0.4 without it.
Must not import the package: it is started as a file, by an interpreter that may not see it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from datetime import UTC, datetime

MODEL = "demo-1"
PACE = 0.4
LONGEST = 3600.0
"""Seconds that a number in a prompt or a variable may ask for."""

QUOTED = 60
STEPS = 5
"""Lines with a pause before them in a successful answer."""


def say(kind: str, **fields: object) -> None:
    """Write one record."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    print(json.dumps({"type": kind, "at": at, **fields}), flush=True)


def main(arguments: list[str]) -> int:
    """Answer the prompt on standard input. Returns the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    prompt = sys.stdin.buffer.read().decode("utf-8", "replace")
    words = set(re.findall(r"\w+", prompt.lower()))
    model = arguments[0] if arguments else MODEL
    if "stubborn" in words:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    say("start", model=model)
    return answer(prompt, words, model=model, pace=pace_of(prompt))


def answer(prompt: str, words: set[str], *, model: str, pace: float) -> int:
    """Think, speak, and end in the way that the prompt's words ask for; the exit code."""
    written = 0
    for kind, text in (("thinking", "Let me see what is asked."), ("text", reading(prompt))):
        time.sleep(pace)
        say(kind, text=text)
        written += len(text.split())
    misbehave(words)
    failed = not words.isdisjoint({"fail", "lie"})
    rest = (
        "This is the demo agent: it calls no model and changes no file.",
        "A real agent would be at work now.",
        "That is all.",
    )
    for text in rest[:1] if failed else rest:
        time.sleep(pace)
        say("text", text=text)
        written += len(text.split())
    say("usage", model=model, input=len(prompt.split()), output=written, cost_usd=0.0, turns=1)
    if failed:
        say("error", text="the prompt asked for a failure")
    return 1 if "fail" in words else 0


def misbehave(words: set[str]) -> None:
    """What keeps an agent from going on: a long tool, a hang, a crash."""
    if "tool" in words:
        run_tool(["sleep", "300"])
    if "hang" in words or "stubborn" in words:
        how = "I ignore TERM and INT." if "stubborn" in words else "A signal ends me."
        say("text", text=f"I hang now, for ever. {how}")
        while True:
            signal.pause()
    if "crash" in words:
        say("text", text="I crash now.")
        os.kill(os.getpid(), signal.SIGKILL)


def run_tool(command: list[str]) -> None:
    """Run a tool as agents do: in a session of its own, out of reach of a signal to the group."""
    import subprocess

    with subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True) as tool:
        say("tool", name=command[0], text=" ".join(command), pid=tool.pid)
        tool.wait()


def reading(prompt: str) -> str:
    """What the agent says of the prompt: its length, and how it begins."""
    count = len(prompt.split())
    start = " ".join(prompt[: 4 * QUOTED].split())
    quoted = start if len(start) <= QUOTED else start[: QUOTED - 1].rstrip() + "…"
    return f"You gave me {count} {'word' if count == 1 else 'words'}: {quoted}"


def pace_of(prompt: str) -> float:
    """Seconds before each line: of `slow N` a share of N, else AGENTCTL_DEMO_PACE, else PACE."""
    slow = re.search(r"\bslow\s+(\d{1,9}(?:\.\d{1,9})?)", prompt, re.IGNORECASE)
    if slow:
        return min(float(slow[1]), LONGEST) / STEPS
    try:
        asked = float(os.environ.get("AGENTCTL_DEMO_PACE", ""))
    except ValueError:
        return PACE
    return asked if 0 <= asked <= LONGEST else PACE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
