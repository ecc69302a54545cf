"""Random faults against a crowd of agents and commands, and an oracle that knows better.

Agents keep records of their own: who they are when they begin, and with what code they
mean to end. Commands run side by side while SIGKILL and SIGSTOP hit any process that
belongs to this home: launchers, shims, timers, finishing calls, deliverers, hooks, agents.
What `list` says is compared with /proc before and after it, and at the end every row with
the agents' records. One seed gives one order of choices; the machine chooses the rest.

    python -m tests.e2e.fuzz --seed 1 --faults 3000
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentctl.core import variables
from agentctl.host import processes, waiting

AGENTCTL = (sys.executable, "-P", "-m", "agentctl")

AGENT = """
records=$1
who=$records/$AGENTCTL_SESSION_ID
[ "$2" = stubborn ] && trap '' TERM
mkfifo "$who.gate"
read -r stat </proc/$$/stat
set -- ${stat##*) }
shift 19
echo "$$ $1" >"$who.new" && mv "$who.new" "$who.start"
read -r code <"$who.gate"
echo "$code" >"$who.new" && mv "$who.new" "$who.end"
exit "$code"
"""

LONGEST = 120
"""Seconds that one command may take while others are suspended."""

PACE = 0.05
"""Seconds between two rounds: commands must get somewhere between two faults."""

SUSPENDED = 20
"""Seconds after which a command that waits for a suspended one is given its way."""

NEVER = frozenset({70})
"""Exit codes that no fault explains: a bug."""


@dataclass(slots=True)
class Verb:
    """A command that is running."""

    words: list[str]
    process: subprocess.Popen[str]


@dataclass(slots=True)
class World:
    """One home, its agents, and what was done to them."""

    home: Path
    chance: random.Random
    faults: Counter[str] = field(default_factory=Counter)
    verbs: list[Verb] = field(default_factory=list)
    killed: set[int] = field(default_factory=set)
    """Processes that a fault ended."""
    suspended: dict[int, int] = field(default_factory=dict)
    """Suspended process → rounds until it goes on."""
    hurt_hooks: Counter[str] = field(default_factory=Counter)
    """Session → how many processes of its hooks were killed."""
    asked: set[str] = field(default_factory=set)
    """Sessions that somebody asked to stop."""
    wrong: list[str] = field(default_factory=list)
    looks: int = 0

    @property
    def records(self) -> Path:
        return self.home / "records"

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in ("PATH", "TMPDIR", "LANG")}
        return {**kept, "HOME": str(self.home), variables.HOME: str(self.home / "state")}

    def begin(self, *words: str) -> Verb:
        process = subprocess.Popen(
            [*AGENTCTL, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=self.environ,
            cwd=self.home,
        )
        return Verb(list(words), process)

    def finish(self, verb: Verb) -> str:
        """What it printed; anything that no fault explains is noted."""
        try:
            stdout, stderr = verb.process.communicate(timeout=SUSPENDED)
        except subprocess.TimeoutExpired:
            # It waits for a process that was suspended in the middle of its work on the database.
            go_on(self, everybody=True)
            stdout, stderr = verb.process.communicate(timeout=LONGEST)
        code = verb.process.returncode
        if code in NEVER or "Traceback" in stderr:
            self.wrong.append(f"agentctl {' '.join(verb.words)}: exit {code}: {stderr.strip()}")
        return stdout

    def run(self, *words: str) -> str:
        return self.finish(self.begin(*words))

    def agents(self) -> dict[str, tuple[int, str]]:
        """Session → pid and start ticks, as each agent itself wrote them."""
        found = {}
        for path in self.records.glob("*.start"):
            pid, ticks = path.read_text().split()
            found[path.stem] = (int(pid), ticks)
        return found

    def living(self) -> set[str]:
        """Sessions whose agents live now."""
        return {one for one, (pid, ticks) in self.agents().items() if lives(pid, ticks)}

    def ours(self) -> dict[int, dict[str, str]]:
        """Every living process of this home → its environment."""
        found = {}
        for pid, stat in processes.table().items():
            environ = dict(processes.environment_of(pid))
            if not stat.is_zombie and environ.get("HOME") == str(self.home):
                found[pid] = environ
        return found


def lives(pid: int, ticks: str) -> bool:
    stat = processes.stat_of(pid)
    return stat is not None and stat.ticks == ticks and not stat.is_zombie


def launch(world: World) -> list[str]:
    name = f"w{world.chance.randrange(10**9)}"
    (world.home / name).mkdir()
    kind = world.chance.choice(["plain", "plain", "stubborn"])
    fuse = world.chance.choice([["--fuse", "1h"], ["--fuse", "2s"], [], ["--no-fuse"]])
    settle = world.chance.choice(["0", "0", "0.2s"])
    where = ["--cwd", str(world.home / name), "--settle", settle, *fuse]
    return ["launch", "exec", *where, "--", "/bin/sh", "-c", AGENT, "agent", str(world.records), kind]


def command(world: World) -> list[str]:
    """Some command, about some session if there is one."""
    known = sorted(world.agents())
    if not known or world.chance.random() < 0.3:
        return launch(world)
    one = world.chance.choice(known)
    words = world.chance.choice(
        [
            ["list", "--json"],
            ["list", "-a", "-q"],
            ["status", one],
            ["why", one],
            ["wait", one, "--timeout", "1s"],
            ["logs", one],
            ["fuse", "extend", one, "--by", "5s"],
            ["reap", "--quiet"],
            ["stop", one, "--timeout", "0.5s"],
            ["stop", one, "--force"],
            ["events"],
        ]
    )
    if words[0] == "stop":
        world.asked.add(one)
    return words


def fault(world: World) -> None:
    """SIGKILL or SIGSTOP to some process of this home."""
    found = world.ours()
    if not found:
        return
    pid = world.chance.choice(sorted(found))
    environ = found[pid]
    number = signal.SIGKILL if world.chance.random() < 0.6 else signal.SIGSTOP
    if pid in world.suspended and number == signal.SIGSTOP:
        return
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    world.faults[number.name] += 1
    if number == signal.SIGSTOP:
        world.suspended[pid] = world.chance.randrange(1, 6)
        return
    world.killed.add(pid)
    if variables.HOOK in environ or "on_complete" in " ".join(processes.arguments_of(pid)):
        world.hurt_hooks[environ.get(variables.SESSION_ID, "")] += 1


def go_on(world: World, *, everybody: bool = False) -> None:
    """Wake those whose time has come."""
    for pid in list(world.suspended):
        world.suspended[pid] -= 1
        if everybody or world.suspended[pid] <= 0:
            del world.suspended[pid]
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                continue


def end_one(world: World, *, code: int | None = None, of: list[str] | None = None) -> None:
    """Open the gate of some agent that waits at it."""
    waiting_agents = of or sorted(world.living())
    if not waiting_agents:
        return
    one = world.chance.choice(waiting_agents)
    try:
        gate = os.open(world.records / f"{one}.gate", os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return  # it is not at its gate yet, or has gone
    with suppress(BrokenPipeError), os.fdopen(gate, "w") as file:  # it may be killed before it reads
        file.write(f"{world.chance.choice([0, 0, 3, 145]) if code is None else code}\n")


def look(world: World) -> None:
    """What `list` says now, held against /proc before and after it."""
    agents, before = world.agents(), world.living()
    shown = world.run("list", "-a", "--json")
    after = world.living()
    world.looks += 1
    try:
        documents = json.loads(shown)["sessions"]
    except ValueError:
        if shown.strip():
            world.wrong.append(f"list printed no document: {shown[:200]!r}")
        return  # it was killed
    for one in documents:
        key, status = one["id"], one["status"]
        is_final = status in ("stopped", "error")
        if is_final and not one["lingering"] and key in before and key in after:
            world.wrong.append(f"false ending of {key}: {one['outcome']}: {one['reason']}")
        if status in ("running", "starting") and key in agents and key not in before:
            world.wrong.append(f"dead, but called {status}: {key}: {one['reason']}")


def settle_all(world: World) -> list[dict[str, Any]]:
    """Wake everybody, end every agent, deliver everything; what is known of each session then."""
    go_on(world, everybody=True)
    for verb in world.verbs:
        world.finish(verb)
    world.verbs.clear()
    for one in sorted(world.living()):
        if world.chance.random() < 0.5:
            end_one(world, of=[one])
        else:
            world.asked.add(one)
    documents: list[dict[str, Any]] = []
    for _ in waiting.ticks(interval=0.3, timeout=LONGEST):
        world.run("stop", "--all", "--timeout", "1s")
        world.run("reap", "--quiet")
        documents = json.loads(world.run("list", "-a", "--json"))["sessions"]
        is_over = all(one["status"] in ("stopped", "error") and not one["lingering"] for one in documents)
        if is_over and not world.living() and not missing_hooks(world, documents):
            return documents
    open_ones = [(one["id"], one["reason"]) for one in documents if one["status"] not in ("stopped", "error")]
    hooks = missing_hooks(world, documents)
    world.wrong.append(f"not settled: alive {sorted(world.living())}, no hook {hooks}, not ended {open_ones}")
    return documents


def hook_lines(world: World) -> Counter[str]:
    path = world.home / "hooks"
    return Counter(path.read_text().split()) if path.exists() else Counter()


def missing_hooks(world: World, documents: list[dict[str, Any]]) -> list[str]:
    ran = hook_lines(world)
    return [one["id"] for one in documents if not ran[one["id"]] and not world.hurt_hooks[one["id"]]]


def judge(world: World, documents: list[dict[str, Any]]) -> Iterator[str]:
    """Every row against the agents' own records, the ledger and the hooks."""
    ledger = [json.loads(line) for line in world.run("events", "--json", "--since", "0").splitlines()]
    endings = Counter(
        event["session_id"]
        for event in ledger
        if event["type"] in ("session.stopped", "session.error", "session.timeout")
    )
    ran, agents = hook_lines(world), world.agents()
    for one in documents:
        key, outcome = one["id"], one["outcome"]
        end = world.records / f"{key}.end"
        told = int(end.read_text()) if end.exists() and end.read_text().strip() else None
        if endings[key] != 1:
            yield f"{key} ({outcome}) has {endings[key]} endings"
        if ran[key] > 1 + world.hurt_hooks[key]:
            yield f"the hook of {key} ran {ran[key]} times"
        if outcome == "succeeded" and told != 0:
            yield f"false success of {key}: its agent meant to end with {told}"
        if outcome == "cancelled" and key not in world.asked:
            yield f"{key} is cancelled, and nobody asked for it"
        agent = agents.get(key)
        if agent is None or agent[0] in world.killed or told is None:
            continue
        if outcome == "failed" and one["exit_code"] not in (told, None) and key not in world.asked:
            yield f"{key} failed with {one['exit_code']}, its agent ended with {told}"
        if outcome == "succeeded" and one["exit_code"] != told:
            yield f"{key} succeeded with {one['exit_code']}, its agent ended with {told}"
        shim = shim_of(world, key)
        if outcome == "lost" and shim is not None and shim not in world.killed:
            yield f"{key} is lost, though neither its shim nor its agent was killed: {one['reason']}"
    if held := json.loads(world.run("locks", "--json"))["locks"]:
        yield f"still held: {held}"


def shim_of(world: World, key: str) -> int | None:
    try:
        return int((world.home / "state" / "sessions" / key / "pid").read_text().split()[3])
    except (OSError, IndexError, ValueError):
        return None


def fuzz(home: Path, *, seed: int, faults: int, seconds: float) -> World:
    """Do harm until so many faults were given or the time is used up, then judge."""
    world = World(home, random.Random(seed))
    world.records.mkdir(parents=True)
    hook = f'echo "$AGENTCTL_SESSION_ID" >>"{home}/hooks"'
    world.run("config", "set", "hooks.on_complete", hook)
    # A claim outlives a deliverer that was killed by no more than what the hook may take.
    world.run("config", "set", "hooks.timeout", "5s")
    for _ in waiting.ticks(interval=PACE, timeout=seconds):
        if sum(world.faults.values()) >= faults or world.wrong:
            break
        running = [verb for verb in world.verbs if verb.process.poll() is None]
        for verb in world.verbs:
            if verb not in running:
                world.finish(verb)
        world.verbs = running
        if len(running) < 6:
            world.verbs.append(world.begin(*command(world)))
        if world.chance.random() < 0.5:
            fault(world)
        go_on(world)
        if world.chance.random() < 0.25:
            end_one(world)
        if world.chance.random() < 0.15:
            look(world)
    documents = settle_all(world)
    world.wrong += judge(world, documents)
    return world


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=3600)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz.") as place:
        world = fuzz(Path(place), seed=given.seed, faults=given.faults, seconds=given.seconds)
        counts = ", ".join(f"{count} {name}" for name, count in sorted(world.faults.items()))
        print(f"seed {given.seed}: {counts}; {len(world.agents())} agents, {world.looks} looks")
        print("\n".join(world.wrong) or "nothing wrong")
        if world.wrong:
            os.rename(place, place + ".kept")
            os.mkdir(place)
    return int(bool(world.wrong))


if __name__ == "__main__":
    sys.exit(main())
