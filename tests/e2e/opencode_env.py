"""The environment in which the real opencode runs against the fake model alone.

Nothing outside `home` is read or written, and the program talks to no other server:
the list of models is not fetched, and a lock file that already names opencode's
plugin package keeps it from being installed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

MODELS = (
    "mock",
    "slow1",
    "slow2",
    "slow5",
    "slow60",
    "http401",
    "http429",
    "echo",
    "tool-bash-2",
    "tool-bash-30",
    "tool-write",
    "tool-write-outside",
)
"""What `-m mock/NAME` accepts; `tests/fake_model.py` says what each does."""

KEPT = ("PATH", "LANG", "LC_ALL", "TERM")
PLUGIN_LOCK = {"packages": {"": {"dependencies": {"@opencode-ai/plugin": "1.18.33"}}}}


def opencode_environment(home: Path, model_url: str) -> dict[str, str]:
    """A whole environment (not a patch) with `home` prepared as HOME; the model is mock/mock."""
    config_home = home / ".config" / "opencode"
    (config_home / "node_modules").mkdir(parents=True, exist_ok=True)
    (config_home / "package-lock.json").write_text(json.dumps(PLUGIN_LOCK))
    temporary = home / "tmp"
    temporary.mkdir(exist_ok=True)
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Fake",
        "options": {"baseURL": f"{model_url}/v1", "apiKey": "none"},
        "models": {name: {"name": name} for name in MODELS},
    }
    config = {
        "autoupdate": False,
        "share": "disabled",
        "model": "mock/mock",
        "small_model": "mock/mock",
        "provider": {"mock": provider},
    }
    return {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "OPENCODE_CONFIG_CONTENT": json.dumps(config),
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
    }
