"""The environment in which the real pi runs against the fake model alone.

Nothing outside `home` is read or written, and the program talks to no other server: it is
told to stay offline, and its only providers are on the loopback interface. A call of the
model that fails is not tried again, which by default takes twenty seconds.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

CLOSED = "http://127.0.0.1:1/v1"
"""Where nothing listens: the provider `refused` is there."""

MODELS = (
    "mock",
    "slow1",
    "slow2",
    "slow60",
    "http401",
    "http500",
    "echo",
    "tool-bash-0.2",
    "tool-bash-30",
)
"""What `--model mock/NAME` knows; `tests/fake_model.py` says what each does."""

NO_RETRY = {"retry": {"enabled": False, "provider": {"maxRetries": 0}}}
KEPT = ("PATH", "LANG", "LC_ALL", "TERM")


def pi_environment(home: Path, model_url: str) -> dict[str, str]:
    """A whole environment (not a patch) with `home` prepared as HOME; the model is mock/mock."""
    agent = home / ".pi" / "agent"
    agent.mkdir(parents=True, exist_ok=True)
    temporary = home / "tmp"
    temporary.mkdir(exist_ok=True)
    providers = {"mock": _provider(f"{model_url}/v1"), "refused": _provider(CLOSED)}
    (agent / "models.json").write_text(json.dumps({"providers": providers}))
    (agent / "settings.json").write_text(json.dumps(NO_RETRY))
    return {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "PI_CODING_AGENT_DIR": str(agent),
        "PI_OFFLINE": "1",
        "NO_PROXY": "127.0.0.1",
    }


def _provider(url: str) -> dict[str, Any]:
    # Dollars for a million tokens, so that ten in and three out cost 0.000016.
    cost = {"input": 1, "output": 2, "cacheRead": 0, "cacheWrite": 0}
    return {
        "baseUrl": url,
        "api": "openai-completions",
        "apiKey": "none",
        "compat": {"supportsDeveloperRole": False, "supportsReasoningEffort": False},
        "models": [{"id": name, "cost": cost} for name in MODELS],
    }
