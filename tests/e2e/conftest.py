"""What the tests with real programs share: the programs, a model for them, a place for webhooks."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.opencode_env import opencode_environment
from tests.fake_model import FakeModel, serve

INSTALLER = Path(__file__).parent.parent.parent / ".ci" / "install-agents"

MORE_MODELS = ("slow66", "http500")
"""Models that only these tests need, beside those of `opencode_env`."""

CLOSED = "http://127.0.0.1:1/v1"
"""Where nothing listens: the provider `refused` is there."""


@pytest.fixture(scope="session")
def agents() -> Path:
    """A directory whose bin/ holds the agent programs.

    AGENTCTL_TEST_AGENTS names one that is there already. Otherwise they are installed once
    for this user; npm's own cache is kept beside them, not in the user's home.
    """
    given = os.environ.get("AGENTCTL_TEST_AGENTS")
    if given:
        if not os.access(Path(given, "bin", "opencode"), os.X_OK):
            raise RuntimeError(f"AGENTCTL_TEST_AGENTS={given}: there is no program bin/opencode in it")
        return Path(given).absolute()
    place = Path(tempfile.gettempdir(), f"agentctl-test-agents-{os.getuid()}")
    place.mkdir(mode=0o700, exist_ok=True)
    if place.stat().st_uid != os.getuid():
        raise RuntimeError(f"{place} belongs to somebody else: remove it, or set AGENTCTL_TEST_AGENTS")
    with open(place / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another pytest may be installing
        done = subprocess.run(
            ["bash", str(INSTALLER), str(place)],
            env={**os.environ, "npm_config_cache": str(place / "npm-cache")},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
    if done.returncode != 0:
        raise RuntimeError(f"{INSTALLER} {place} failed: {done.stderr.strip() or done.stdout.strip()}")
    return place


@pytest.fixture
def model() -> Iterator[FakeModel]:
    with serve() as running:
        yield running


@pytest.fixture
def opencode(
    agents: Path, model: FakeModel, sealed_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The real opencode first in PATH, with no model but the fake one; where it keeps its data."""
    environ = opencode_environment(tmp_path / "home", model.url)
    config = json.loads(environ["OPENCODE_CONFIG_CONTENT"])
    mock = config["provider"]["mock"]
    mock["models"] |= {name: {"name": name} for name in MORE_MODELS}
    config["provider"]["refused"] = {**mock, "options": {"baseURL": CLOSED, "apiKey": "none"}}
    environ["OPENCODE_CONFIG_CONTENT"] = json.dumps(config)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{agents / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "home" / ".local" / "share" / "opencode"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory for agents to work in."""
    directory = tmp_path / "work"
    directory.mkdir()
    return directory
