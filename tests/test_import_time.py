"""What each kind of invocation loads. Counted in modules: a timed test measures the machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "asyncio", "http", "importlib.metadata", "multiprocessing", "platformdirs", "psutil", "sqlite3",
    "ssl", "subprocess", "tabulate", "tempfile", "tomlkit", "tomllib", "unittest", "urllib.request", "yaml",
}  # fmt: skip

PROBE = """
import json, sys
import agentctl.cli as cli
code = cli.main(sys.argv[1:])
json.dump([code, sorted(sys.modules)], sys.stderr)
"""

ENTRY = {"agentctl", "agentctl.cli"}


def loaded(*words: str, env: dict[str, str] | None = None, exit_code: int = 0) -> set[str]:
    """The modules that an invocation has loaded by its end."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROBE, *words],
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == exit_code, done.stderr
    return set(modules)


def ours(modules: set[str]) -> set[str]:
    return {name for name in modules if name.split(".")[0] == "agentctl"}


def completing(line: str, index: int) -> dict[str, str]:
    return {"_AGENTCTL_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(index)}


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["--version"]])
def test_help_and_version_load_click_and_the_table(words: list[str]) -> None:
    modules = loaded(*words)
    assert ours(modules) == ENTRY
    assert not modules & HEAVY


def test_completing_a_command_loads_click_and_the_table() -> None:
    modules = loaded(env=completing("agentctl li", 1))
    assert ours(modules) == ENTRY
    assert not modules & HEAVY


def test_completing_an_option_loads_that_command_alone() -> None:
    modules = loaded(env=completing("agentctl completion --", 2))
    assert ours(modules) == ENTRY | {"agentctl.commands", "agentctl.commands.completion"}
    assert not modules & HEAVY


def test_completing_an_option_of_list_needs_nothing_heavy() -> None:
    modules = loaded(env=completing("agentctl list --", 2))
    commands = {name for name in ours(modules) if name.startswith("agentctl.commands.")}
    assert {name for name in commands if "._" not in name} == {"agentctl.commands.list"}
    assert not modules & HEAVY


def test_completing_adapters_reads_no_package_metadata() -> None:
    modules = loaded(env=completing("agentctl list --adapter ", 3))
    assert not modules & (HEAVY | {"agentctl.adapters.opencode"})


def test_completing_sessions_loads_the_database_and_no_model() -> None:
    modules = loaded(env=completing("agentctl stop ", 2))
    assert modules & HEAVY == {"sqlite3"}
    assert "agentctl.core.model" not in modules


@pytest.mark.parametrize("words", [["list", "-q"], ["list", "--json"]])
def test_list_for_programs_loads_only_the_database(words: list[str]) -> None:
    modules = loaded(*words)
    assert modules & HEAVY == {"sqlite3"}
    assert "agentctl.render" not in modules


def test_list_for_people_with_nothing_to_show_loads_no_table(sealed_home: Path) -> None:
    assert loaded("list") & HEAVY == {"sqlite3"}


def test_a_launch_of_one_agent_loads_nothing_for_several(sealed_home: Path) -> None:
    modules = loaded("launch", "exec", "--settle", "0s", "--", "true")
    parallel = {
        "core.plan",
        "host.git",
        "host.repository",
        "ops.worktrees.make",
        "ops.start.group",
        "host.matrix",
    }
    assert not modules & {"yaml", "concurrent.futures", *(f"agentctl.{name}" for name in parallel)}


def test_help_of_a_command_loads_that_command_alone() -> None:
    modules = loaded("stop", "--help")
    assert not modules & HEAVY
    assert not {name for name in ours(modules) if name.startswith(("agentctl.ops", "agentctl.store"))}
