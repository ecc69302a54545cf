"""The words of an agent's command line: the prompt, the model, and what the user adds to ours.

Pure. codex and acp have a grammar of their own for what the user adds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from agentctl.adapters.base import CommandRequest, rerun_hint
from agentctl.adapters.values import string
from agentctl.core.ids import short
from agentctl.core.model import Session
from agentctl.errors import NotFound, UsageFault

ARGUMENT_BYTES = 131_071
"""How long one argument may be on Linux."""


def prompt_of(request: CommandRequest, program: str) -> str:
    """The prompt. Raises UsageFault for an empty one."""
    if not request.prompt or not request.prompt.strip():
        raise UsageFault(f"{program} needs a prompt", hint="give one with --prompt or --prompt-file")
    return request.prompt


def prompt_argument(request: CommandRequest, program: str) -> str:
    """The prompt for a program that reads none from standard input. Raises UsageFault."""
    prompt = prompt_of(request, program)
    if "\0" in prompt or len(os.fsencode(prompt)) > ARGUMENT_BYTES:
        raise UsageFault(
            f"{program} takes its prompt as an argument: at most {ARGUMENT_BYTES} bytes, and no NUL byte",
            hint="put the text into a file in the project, and name the file in the prompt",
        )
    return prompt


def model_of(request: CommandRequest) -> str | None:
    """The model of this launch, else the configured one."""
    return request.model or string(request.config.get("model"))


def native_id_of(session: Session, name: str) -> str:
    """The id by which the program continues this conversation. Raises NotFound; `name` says which id."""
    if session.native_id is None:
        raise NotFound(f"session {short(session.id)} has no {name}", hint=rerun_hint(session))
    return session.native_id


def strings(request: CommandRequest, key: str, *, adapter: str) -> list[str]:
    """A list of strings from the adapter's table, empty where it is not set. Raises UsageFault for others."""
    value = request.config.get(key, [])
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise UsageFault(f"{key} in [adapters.{adapter}] must be a list of strings")
    return value


def gathered(
    request: CommandRequest, ours: Mapping[str, str], *, adapter: str, program: str
) -> tuple[str, ...]:
    """The configured arguments, then the user's own. Raises UsageFault for an option of `ours`, with why."""
    words = (*strings(request, "args", adapter=adapter), *request.args)
    for option, reason in ours.items():
        if has_option(words, option):
            raise UsageFault(f"{program}'s option {option} cannot be given here: {reason}")
    return words


def option(words: Sequence[str], value: str | None, name: str, *others: str) -> tuple[str, ...]:
    """`name` and this value; nothing without a value, or if the user gave `name` or one of `others`."""
    return () if not value or has_option(words, name, *others) else (name, value)


def has_option(words: Sequence[str], *names: str) -> bool:
    """Whether one of these is given before `--`; a short one also with its value behind it (`-rID`)."""
    before = words[: words.index("--")] if "--" in words else words
    return any(
        word.partition("=")[0] in names or (not word.startswith("--") and word[:2] in names)
        for word in before
    )
