"""The environment in which the real claude runs against the fake model alone.

Nothing outside `home` is read or written, and the program talks to no other server. Its
own retries are off: they take minutes.
"""

from __future__ import annotations

import os
from pathlib import Path

TOKEN = "a-subscription-token"
"""What claude authenticates itself with where no API key is passed on to it."""

KEPT = ("PATH", "LANG", "LC_ALL", "TERM")
FOREIGN = ("ANTHROPIC_", "CLAUDE", "DISABLE_", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
"""Beginnings of variables that would lead claude elsewhere."""


def claude_environment(home: Path, model_url: str) -> dict[str, str]:
    """A whole environment (not a patch) with `home` as HOME; any model's name is accepted."""
    temporary = home / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "ANTHROPIC_BASE_URL": model_url,
        "AGENTCTL_CLAUDE_USE_API_KEY": "1",  # else agentctl would remove the address
        "CLAUDE_CODE_OAUTH_TOKEN": TOKEN,
        "CLAUDE_CODE_MAX_RETRIES": "0",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
