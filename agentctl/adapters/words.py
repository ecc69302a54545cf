"""A user's own words for an agent's program: those configured, and those given behind `--`.

Pure. An adapter with a grammar of its own (codex, acp) reads its words itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agentctl.adapters.base import CommandRequest
from agentctl.errors import UsageFault


def texts(request: CommandRequest, key: str, *, adapter: str) -> list[str]:
    """A list of texts from the adapter's table, empty where it is not set. Raises UsageFault for others."""
    value = request.config.get(key, [])
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise UsageFault(f"{key} in [adapters.{adapter}] must be a list of strings")
    return value


def gathered(
    request: CommandRequest, ours: Mapping[str, str], *, adapter: str, program: str
) -> tuple[str, ...]:
    """The configured arguments, then the user's own. Raises UsageFault for an option of `ours`, with why."""
    words = (*texts(request, "args", adapter=adapter), *request.args)
    for option, reason in ours.items():
        if has_option(words, option):
            raise UsageFault(f"{program}'s option {option} cannot be given here: {reason}")
    return words


def has_option(words: Sequence[str], *names: str) -> bool:
    """Whether one of these is given before `--`; a short one also with its value behind it (`-rID`)."""
    before = words[: words.index("--")] if "--" in words else words
    return any(
        word.partition("=")[0] in names or (not word.startswith("--") and word[:2] in names)
        for word in before
    )
