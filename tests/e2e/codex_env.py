"""The environment in which the real codex runs against the fake model alone.

Nothing outside `home` is read or written, and the program talks to no other server:
analytics and plugins, which call home at each start, are switched off.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

KEPT = ("PATH", "LANG", "LC_ALL", "TERM")

CONFIG = """\
model = "mock"
model_provider = "fake"

[model_providers.fake]
name = "Fake"
base_url = {base_url}
wire_api = "responses"
requires_openai_auth = false
request_max_retries = 0
stream_max_retries = 1

[analytics]
enabled = false

[features]
plugins = false
unbounded_connection_retries = false
"""
"""One retry, so that a failing server is seen to be tried again, and a test does not take long."""


def codex_environment(home: Path, model_url: str) -> dict[str, str]:
    """A whole environment (not a patch) with `home` prepared as HOME; the model is `mock`."""
    codex_home = home / ".codex"
    codex_home.mkdir(parents=True, exist_ok=True)
    (codex_home / "config.toml").write_text(CONFIG.format(base_url=json.dumps(f"{model_url}/v1")))
    temporary = home / "tmp"
    temporary.mkdir(exist_ok=True)
    return {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        "HOME": str(home),
        "CODEX_HOME": str(codex_home),
        "TMPDIR": str(temporary),
    }


def refused(word: str = "-c") -> tuple[str, str]:
    """The words that make codex ask a server that is not there."""
    return word, 'model_providers.fake.base_url="http://127.0.0.1:1/v1"'


def project(directory: Path) -> Path:
    """A directory as codex wants it: a git repository, made without running git."""
    git = directory / ".git"
    for part in ("objects", "refs"):
        (git / part).mkdir(parents=True, exist_ok=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    return directory
