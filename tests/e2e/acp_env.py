"""The environments in which real ACP agents run against the fake model alone.

Nothing outside `home` is read or written. All keys are dummies.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

KEPT = ("LANG", "LC_ALL", "TERM")
LONG_KEY = "a-long-dummy-key"
"""Copilot censors its key wherever the text occurs in its output: a short one would break its frames."""


def acp_environment(home: Path, model_url: str, programs: Path) -> dict[str, str]:
    """One whole environment (not a patch) for gemini, copilot and qwen, with `home` prepared as HOME."""
    temporary = home / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    settings = home / ".gemini" / "settings.json"
    settings.parent.mkdir(exist_ok=True)
    # The tests' directories are trusted by no person; Gemini would ask.
    chosen = {"security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}}}
    settings.write_text(json.dumps(chosen))
    qwen = home / ".qwen" / "settings.json"
    qwen.parent.mkdir(exist_ok=True)
    qwen.write_text(json.dumps({"security": {"auth": {"selectedType": "openai"}}}))
    return {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "GEMINI_API_KEY": LONG_KEY,
        "GOOGLE_GEMINI_BASE_URL": model_url,
        "GEMINI_TELEMETRY_ENABLED": "false",
        "OPENAI_API_KEY": LONG_KEY,
        "OPENAI_BASE_URL": f"{model_url}/v1",
        "OPENAI_MODEL": "mock",
        "COPILOT_PROVIDER_BASE_URL": f"{model_url}/v1",
        "COPILOT_PROVIDER_API_KEY": LONG_KEY,
        "COPILOT_MODEL": "mock",
        "COPILOT_AUTO_UPDATE": "false",
        "COPILOT_OFFLINE": "true",
    }
