"""The schema of the configuration file: its keys, their values, and what is wrong with them.

Settings are values: whoever has read the file and the environment hands both in.
Must not know TOML, files or where a setting is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any, TypeVar, overload

from agentctl.core import variables, written
from agentctl.core.near import did_you_mean, near_matches


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration."""

    key: str
    """Dotted; the table's name for a table; the variable's for the environment."""
    text: str
    hint: str | None = None
    in_environment: bool = False


class SettingsError(ValueError):
    """A configuration with problems; at least one."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{problem.key} {problem.text}" for problem in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the configuration file."""

    name: str
    """Dotted; `NAME` stands for an adapter."""
    read: Callable[[object], Any]
    """From the value as written. Raises ValueError, as a clause about the key."""
    help: str
    default: str | tuple[str, ...] | None = None
    """As it would be written; None for no setting."""
    unset: str = "–"
    """What happens without the setting, in a word or two, where it has no default."""
    variable: str | None = None
    """Environment variable that overrides the file."""
    is_secret: bool = False

    @property
    def is_list(self) -> bool:
        return self.read in (written.strings, written.events)

    @property
    def last(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def table(self) -> str:
        return self.name.rpartition(".")[0]


T = TypeVar("T")
Read = Callable[[object], T]


@overload
def _setting(name: str, read: Read[T], text: str, *, default: str | tuple[str, ...]) -> T: ...
@overload
def _setting(
    name: str, read: Read[T], text: str, *, unset: str = ..., variable: str = ..., is_secret: bool = ...
) -> T | None: ...
def _setting(name: str, read: Read[T], text: str, **more: Any) -> Any:
    """A field of `Settings` with its key: the reader gives the field its type, the default its value."""
    key = Key(name, read, text, **more)
    return field(default=None if key.default is None else read(key.default), metadata={"key": key})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, in the order in which people see them; None for one without value and default.

    A setting is written here alone: the schema, help and the README's table come from here.
    """

    adapter: str | None = _setting(
        "adapter",
        written.string,
        "Adapter for launches that do not name one.",
        unset="first installed",
        variable=variables.ADAPTER,
    )
    compat: str | None = _setting(
        "compat",
        written.compat,
        "Whose JSON --json prints: typescript.",
        unset="agentctl's",
        variable=variables.COMPAT,
    )
    fuse: timedelta | None = _setting(
        "defaults.fuse", written.duration, "Stop each session after this long.", variable=variables.FUSE
    )
    fuse_warn: timedelta | None = _setting(
        "defaults.fuse_warn", written.duration, "How long before the deadline to warn."
    )
    settle: timedelta = _setting(
        "defaults.settle",
        written.duration_or_zero,
        "How long a launch watches for an early failure.",
        default="1s",
    )
    model: str | None = _setting("defaults.model", written.string, "Model for launches that do not name one.")
    max_running: int | None = _setting(
        "defaults.max_running", written.count_from_1, "Refuse launches beyond this many live sessions."
    )
    stop_timeout: timedelta | None = _setting(
        "stop.timeout",
        written.duration_or_zero,
        "How long stop waits before it kills an agent.",
        unset="the adapter's",
    )
    wait_timeout: timedelta | None = _setting(
        "wait.timeout", written.duration_or_zero, "How long wait waits before it times out.", unset="never"
    )
    peek_messages: int = _setting(
        "peek.messages", written.count, "How many messages peek shows.", default="20"
    )
    logs_lines: int = _setting(
        "logs.lines", written.count, "How many of the last lines logs shows.", default="50"
    )
    on_create: str | None = _setting(
        "hooks.on_create", written.string, "Shell command to run before an agent starts."
    )
    on_complete: str | None = _setting(
        "hooks.on_complete", written.string, "Shell command to run after an agent has ended."
    )
    on_fuse_warn: str | None = _setting(
        "hooks.on_fuse_warn", written.string, "Shell command to run before a deadline."
    )
    hook_timeout: timedelta = _setting(
        "hooks.timeout", written.duration, "How long a hook may run.", default="5m"
    )
    webhook_url: str | None = _setting(
        "webhook.url", written.url, "Address that events are posted to.", variable=variables.WEBHOOK_URL
    )
    webhook_secret: str | None = _setting(
        "webhook.secret",
        written.string,
        "Key that signs each post.",
        variable=variables.WEBHOOK_SECRET,
        is_secret=True,
    )
    webhook_events: tuple[str, ...] = _setting(
        "webhook.events", written.events, "Events to post.", default=(written.ENDING,)
    )
    webhook_timeout: timedelta = _setting(
        "webhook.timeout", written.duration, "How long a post may take.", default="10s"
    )
    prune_older_than: timedelta = _setting(
        "prune.older_than", written.duration, "Prune sessions that ended longer ago than this.", default="7d"
    )
    log_max_size: int | None = _setting(
        "logs.max_size", written.size, "Size to which reap cuts logs of ended sessions.", unset="all is kept"
    )
    adapters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Adapter → its table: `command`, `model`, `args`, and whatever else that adapter reads."""

    def hook(self, name: str) -> str | None:
        """The shell command of a hook; None for one that is not set or not configurable."""
        return {
            "on_create": self.on_create,
            "on_complete": self.on_complete,
            "on_fuse_warn": self.on_fuse_warn,
        }.get(name)


_FIELDS: Mapping[str, Key] = {
    one.name: one.metadata["key"] for one in fields(Settings) if "key" in one.metadata
}
"""Attribute of `Settings` → its key."""

SCHEMA: tuple[Key, ...] = tuple(_FIELDS.values())

ADAPTER_SCHEMA: tuple[Key, ...] = (
    Key("adapters.NAME.command", written.command, "Program to run instead of the adapter's own."),
    Key("adapters.NAME.model", written.string, "Model for launches of this adapter that do not name one."),
    Key("adapters.NAME.args", written.strings, "Arguments added to every launch of this adapter."),
)

_KEYS = {key.name: key for key in SCHEMA}
_ADAPTER_KEYS = {key.last: key for key in ADAPTER_SCHEMA}
_TABLES = (*dict.fromkeys(key.table for key in SCHEMA if key.table), "adapters")


def find_key(name: str) -> Key | None:
    """The key of this dotted name; None for a free key of an adapter. Raises KeyError for an unknown one."""
    first, *rest = name.split(".")
    if first == "adapters" and len(rest) > 1 and all(rest):
        return _ADAPTER_KEYS.get(rest[1]) if len(rest) == 2 else None
    return _KEYS[name]


def near_keys(name: str) -> list[str]:
    """Known keys that may be meant by an unknown one."""
    last = name.rpartition(".")[2]
    same = [known for known in _KEYS if known.rpartition(".")[2] == last]
    return same or near_matches(name, tuple(_KEYS))


def problems(data: Mapping[str, Any]) -> list[Problem]:
    """Everything wrong with the content of a configuration file, in its order."""
    found: list[Problem] = []
    for name, value in data.items():
        if name in _KEYS:
            found += _wrong(name, _KEYS[name], value)
        elif name not in _TABLES:
            what = "is not a table of the configuration" if isinstance(value, Mapping) else "is not a setting"
            near = near_matches(name, _TABLES) if isinstance(value, Mapping) else near_keys(name)
            found.append(Problem(name, what, hint(near)))
        elif not isinstance(value, Mapping):
            found.append(Problem(name, f"is a table: write its keys below [{name}]"))
        elif name == "adapters":
            found += _adapter_problems(value)
        else:
            found += _table_problems(name, value)
    return found


def settings(data: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """The settings of a configuration file's content; the environment wins. Raises SettingsError."""
    wrong = problems(data)
    values: dict[str, Any] = {}
    for attribute, key in _FIELDS.items():
        raw, source = effective(key, data, environ)
        if source == "environment" and key.variable:
            wrong += _wrong(key.variable, key, raw, in_environment=True)
        if source != "default" and not wrong:
            values[attribute] = key.read(raw)
    if wrong:
        raise SettingsError(wrong)
    return Settings(adapters=data.get("adapters", {}), **values)


def is_set(name: str, data: Mapping[str, Any], environ: Mapping[str, str]) -> bool:
    """The environment or the file gives this setting a value."""
    return effective(_KEYS[name], data, environ)[1] != "default"


def effective(key: Key, data: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[Any, str]:
    """A key's value as written, and where it is from: `environment`, `file` or `default`.

    An empty variable counts as none.
    """
    if key.variable and environ.get(key.variable):
        return environ[key.variable], "environment"
    raw = lookup(data, key.name.split("."))
    return (key.default, "default") if raw is None else (raw, "file")


def lookup(data: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The value at `path`, or None."""
    value: Any = data
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return value


def _table_problems(table: str, content: Mapping[str, Any]) -> Iterator[Problem]:
    for name, value in content.items():
        dotted = f"{table}.{name}"
        if dotted in _KEYS:
            yield from _wrong(dotted, _KEYS[dotted], value)
        else:
            yield Problem(dotted, "is not a setting", hint(near_keys(dotted), table))


def _adapter_problems(content: Mapping[str, Any]) -> Iterator[Problem]:
    for adapter, table in content.items():
        if not isinstance(table, Mapping):
            yield Problem(f"adapters.{adapter}", f"is a table: write its keys below [adapters.{adapter}]")
            continue
        for name, value in table.items():
            if name in _ADAPTER_KEYS:
                yield from _wrong(f"adapters.{adapter}.{name}", _ADAPTER_KEYS[name], value)


def _wrong(name: str, key: Key, value: object, *, in_environment: bool = False) -> list[Problem]:
    try:
        key.read(value)
    except ValueError as error:
        return [Problem(name, str(error), in_environment=in_environment)]
    return []


def hint(near: Sequence[str], table: str | None = None) -> str:
    """What to do about a key that does not exist, given those near to it."""
    if near:
        return did_you_mean(near)
    if table:
        names = [key.last for key in SCHEMA if key.table == table]
        return f"[{table}] takes {', '.join(names)}"
    return "agentctl config show lists all of them"
