"""One prompt for all four real agents at once: one list, one status of each, nothing mixed up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import RunReal
from tests.e2e.claude_env import FOREIGN, claude_environment
from tests.e2e.codex_env import codex_environment, project
from tests.e2e.opencode_env import opencode_environment
from tests.e2e.opencode_runs import PATIENCE, listed, status
from tests.e2e.pi_env import pi_environment
from tests.fake_model import GREETING, FakeModel

pytestmark = pytest.mark.agents

MODELS = {"claude-code": "slow5", "codex": "slow5", "opencode": "mock/slow5", "pi": "mock/slow5"}


@pytest.fixture
def four(
    agents: Path, model: FakeModel, sealed_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All four programs in PATH, with one home, and no model but the fake one."""
    for name in list(os.environ):
        if name.startswith(FOREIGN):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    for environment in (claude_environment, codex_environment, opencode_environment, pi_environment):
        for name, value in environment(home, model.url).items():
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{agents / 'bin'}{os.pathsep}{os.environ['PATH']}")


def test_one_prompt_for_all_four(run_real: RunReal, four: None, model: FakeModel, tmp_path: Path) -> None:
    launched = {}
    for adapter, name in MODELS.items():
        place = project(tmp_path / adapter)
        words = [
            "launch",
            adapter,
            "--cwd",
            str(place),
            "--model",
            name,
            "--settle",
            "0s",
            "-p",
            "Say hello.",
        ]
        launched[adapter] = run_real(words, timeout=PATIENCE).stdout.strip()
    assert {one["id"]: one["adapter"] for one in listed(run_real, "-a")} == {
        session: adapter for adapter, session in launched.items()
    }, "each once, and nothing that its own store holds besides"

    run_real(["wait", *launched.values()], timeout=2 * PATIENCE)
    assert listed(run_real) == []
    for adapter, session in launched.items():
        told = status(run_real, session)
        assert (told["outcome"], told["exit_code"], told["result"]) == ("succeeded", 0, GREETING), told
        assert told["tokens"]["input"] and told["tokens"]["output"], adapter
        assert told["native_id"] and told["transcript_path"] and told["turns"] == 1, adapter
        assert MODELS[adapter].endswith(told["model"].rpartition("/")[2])
        (said,) = [line for line in run_real(["peek", session]).lines if line.endswith(GREETING)]
        assert said
    assert len({status(run_real, session)["native_id"] for session in launched.values()}) == len(MODELS)
    assert {one["id"] for one in listed(run_real, "-a")} == set(launched.values()), "nothing is listed twice"
