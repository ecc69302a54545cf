"""`agentctl adapters`: built-in ones, those of other packages, and broken ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def by_name(run: Run) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in run("adapters --json").json()["adapters"]}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Install a package of one adapter, as far as Python's own metadata goes."""

    def install(name: str, source: str) -> None:
        place = tmp_path / f"site-{name}"
        metadata = place / f"{name}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[agentctl.adapters]\n{name} = {name}_adapter\n")
        (place / f"{name}_adapter.py").write_text(source)
        monkeypatch.syspath_prepend(str(place))

    return install


def test_the_built_in_ones_and_what_they_can_do(run: Run) -> None:
    found = by_name(run)
    assert {"opencode", "exec", "demo"} <= set(found)
    assert (found["demo"]["program"], found["demo"]["verified"]) == (None, "built in")
    assert {"launch", "prompt", "peek"} <= set(found["demo"]["capabilities"])
    assert found["opencode"]["error"] is None


def test_where_a_program_was_found(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert by_name(run)["opencode"]["found"] is None
    shown = run("adapters").stdout
    assert "opencode not found" in shown
    assert "npm install -g opencode-ai" in shown
    program = tmp_path / "opencode"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert by_name(run)["opencode"]["found"] == str(program)
    run(f"config set adapters.opencode.command {tmp_path / 'elsewhere'}")
    assert by_name(run)["opencode"]["found"] is None


def test_an_adapter_of_another_package(run: Run, package: Callable[[str, str], None]) -> None:
    package(
        "acme",
        "NAME = 'acme'; SUMMARY = 'ACME.'; PROGRAM = 'sh'; INSTALL = None; VERIFIED = '1'\n"
        "CAPABILITIES = {'launch'}; OPTIONS = ()\n"
        "from agentctl.adapters.demo import *\n"
        "from agentctl.adapters.demo import LADDER, PROCESS_NAMES\n"
        "NAME = 'acme'; PROGRAM = 'sh'; VERIFIED = '1'; CAPABILITIES = {'launch'}\n",
    )
    one = by_name(run)["acme"]
    assert (one["source"], one["capabilities"], one["error"]) == ("acme_adapter", ["launch"], None)
    assert one["found"].endswith("/sh")


@pytest.mark.parametrize(
    ("name", "source", "said"),
    [
        ("broken_import", "import no_such_module_anywhere\n", "no_such_module_anywhere"),
        ("broken_code", "1 / 0\n", "ZeroDivisionError"),
        ("broken_shape", "NAME = 'half'\n", "it lacks CAPABILITIES"),
    ],
)
def test_a_broken_adapter_is_a_row_with_its_error(
    run: Run, package: Callable[[str, str], None], name: str, source: str, said: str
) -> None:
    package(name, source)
    found = by_name(run)
    assert said in found[name]["error"]
    assert found["demo"]["error"] is None
    assert f"cannot be loaded: {found[name]['error']}"[:60] in run("adapters").stdout


def test_one_adapter_is_told_with_its_settings(run: Run) -> None:
    run("config set adapters.codex.sandbox workspace-write")
    shown = run("adapters codex")
    assert "sandbox = workspace-write" in shown.stdout
    assert "one of read-only, workspace-write, danger-full-access" in shown.stdout
    assert "claude-code" not in shown.stdout
    options = {one["name"]: one for one in by_name(run)["codex"]["options"]}
    assert options["sandbox"]["value"] == "workspace-write"
    assert {"command", "model", "args", "profile"} <= set(options)
    assert options["profile"]["value"] is None
    assert by_name(run)["openclaw"]["options"] == []


def test_an_unknown_adapter_is_refused_with_what_was_meant(run: Run) -> None:
    assert 'did you mean "codex"' in run("adapters codx", exit=12).stderr
