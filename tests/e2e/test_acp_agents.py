"""The real gemini, copilot and qwen over ACP: an answer, a failure of the model's server, a denied tool."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import RunReal
from tests.e2e.acp_env import acp_environment
from tests.e2e.opencode_runs import PATIENCE, status
from tests.fake_model import DONE, GREETING, FakeModel

pytestmark = pytest.mark.agents

AGENTS = ("gemini", "copilot", "qwen")


@pytest.fixture
def led(
    agents: Path, model: FakeModel, sealed_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> pytest.MonkeyPatch:
    """The environment of all three; each takes its model in its own way."""
    for name, value in acp_environment(tmp_path / "home", model.url, agents / "bin").items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def launch(
    run_real: RunReal, led: pytest.MonkeyPatch, place: Path, agent: str, model: str, *, code: int = 0
) -> str:
    """One turn, waited for. Copilot and qwen know only the model of their provider."""
    led.setenv("COPILOT_MODEL", model)
    led.setenv("OPENAI_MODEL", model)
    chosen = ["--model", model] if agent == "gemini" else []
    own = ["--", "--auth-type", "openai"] if agent == "qwen" else []
    words = ["launch", agent, "--cwd", str(place), "--wait", "-p", "Say hello.", *chosen, *own]
    return run_real(words, timeout=2 * PATIENCE, exit=code).lines[0]


@pytest.mark.parametrize("agent", AGENTS)
def test_an_answer(run_real: RunReal, led: pytest.MonkeyPatch, place: Path, agent: str) -> None:
    told = status(run_real, launch(run_real, led, place, agent, "mock"))
    assert (told["adapter"], told["outcome"], told["result"]) == (agent, "succeeded", GREETING)
    assert (told["tokens"]["input"], told["tokens"]["output"]) == (10, 3)
    assert told["native_id"] and told["notes"] == []


@pytest.mark.parametrize("agent", AGENTS)
def test_a_refused_login_is_a_failure(
    run_real: RunReal, led: pytest.MonkeyPatch, place: Path, agent: str
) -> None:
    told = status(run_real, launch(run_real, led, place, agent, "http401", code=1))
    assert (told["outcome"], told["exit_code"]) == ("failed", 1)
    assert "401" in told["result"]


@pytest.mark.parametrize("failing", ["tool-http401", "http500"])
def test_copilot_fails_with_its_model(
    run_real: RunReal, led: pytest.MonkeyPatch, place: Path, failing: str
) -> None:
    """Copilot sends notices as text and ends the turn well; after a tool it reports the tokens of before."""
    run_real("config set adapters.copilot.permissions allow")
    told = status(run_real, launch(run_real, led, place, "copilot", failing, code=1))
    assert told["outcome"] == "failed"
    assert told["result"].startswith("Error: ")
    assert any("retried" in note for note in told["notes"])


def test_copilot_at_a_denied_permission(run_real: RunReal, led: pytest.MonkeyPatch, place: Path) -> None:
    told = status(run_real, launch(run_real, led, place, "copilot", "tool-bash-0.1", code=1))
    assert told["result"] == "the agent stopped early: permission for Waits a while was denied"


def test_gemini_goes_on_after_a_denied_permission(
    run_real: RunReal, led: pytest.MonkeyPatch, place: Path
) -> None:
    """Its two messages have no id; the permission comes between them."""
    told = status(run_real, launch(run_real, led, place, "gemini", "tool-bash-0.1"))
    assert (told["outcome"], told["result"]) == ("succeeded", DONE)
    assert told["notes"] == ["permission for sleep 0.1 was denied"]


def test_a_mode_lets_tools_run(run_real: RunReal, led: pytest.MonkeyPatch, place: Path) -> None:
    run_real("config set adapters.acp.mode yolo")
    told = status(run_real, launch(run_real, led, place, "gemini", "tool-write"))
    assert (told["outcome"], told["result"], told["notes"]) == ("succeeded", DONE, [])
    assert (place / "hello.txt").read_text() == "hi\n"


def test_a_mode_makes_an_agent_ask(run_real: RunReal, led: pytest.MonkeyPatch, place: Path) -> None:
    """qwen ends its turn where it is denied a command."""
    run_real("config set adapters.qwen.mode yolo")
    told = status(run_real, launch(run_real, led, place, "qwen", "tool-bash-0.1"))
    assert (told["outcome"], told["result"]) == ("succeeded", DONE)
    run_real("config set adapters.qwen.mode default")
    told = status(run_real, launch(run_real, led, place, "qwen", "tool-bash-0.1", code=1))
    assert told["result"].startswith("the agent stopped early: permission for")
