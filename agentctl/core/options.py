"""The options of one adapter: what is wrong with its table of the configuration, and reading a value.

The adapter's options are handed in. `command`, `model` and `args`, which every adapter
has, are the schema's business (`core.settings`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from agentctl.core.near import did_you_mean, near_matches
from agentctl.core.settings import ADAPTER_SCHEMA, Problem

COMMON = tuple(key.last for key in ADAPTER_SCHEMA)

_KINDS: dict[type, str] = {
    str: "a quoted string",
    bool: "true or false",
    list: "a list of strings",
    dict: "a table",
}


class Option(Protocol):
    """What is needed here of an option; `adapters.base.Option` is one."""

    @property
    def name(self) -> str: ...
    @property
    def choices(self) -> tuple[str, ...]: ...
    @property
    def kind(self) -> type: ...


def option_problems(adapter: str, table: Mapping[str, Any], options: Iterable[Option]) -> list[Problem]:
    """Keys of `[adapters.NAME]` that the adapter does not read, and values that it does not take."""
    known = {option.name: option for option in options}
    found = []
    for name, value in table.items():
        key = f"adapters.{adapter}.{name}"
        if name in known:
            wrong = _wrong(value, known[name])
            if wrong:
                found.append(Problem(key, wrong))
        elif name not in COMMON:
            found.append(Problem(key, "is not a setting", _meant(adapter, name, (*COMMON, *known))))
    return found


def option_value(option: Option, words: Sequence[str]) -> object:
    """What is written for the words of a command line. Raises ValueError, as a clause about the option."""
    if option.kind is dict:
        raise ValueError("is a table: set its keys one by one, or edit the file")
    value: object = list(words)
    if option.kind is not list:
        if len(words) != 1:
            raise ValueError("takes one value: put it in quotes")
        value = words[0]
    if option.kind is bool and value in ("true", "false"):
        value = value == "true"
    if wrong := _wrong(value, option):
        raise ValueError(wrong)
    return value


def _wrong(value: object, option: Option) -> str | None:
    words = value if isinstance(value, list) else [value]
    is_list = option.kind is list
    if not isinstance(value, option.kind) or (is_list and not all(isinstance(word, str) for word in words)):
        return f"must be {_KINDS[option.kind]}"
    if option.choices:
        for word in words:
            if word not in option.choices:
                near = did_you_mean(near_matches(str(word), option.choices))
                meant = f", {near}" if near else ""
                return f"cannot be '{word}'{meant} (allowed: {', '.join(option.choices)})"
    return None


def _meant(adapter: str, name: str, known: Sequence[str]) -> str:
    near = near_matches(name, known)
    if near:
        return did_you_mean(f"adapters.{adapter}.{one}" for one in near)
    return f"[adapters.{adapter}] takes {', '.join(known)}"
