"""The schema of the configuration file: its keys, their values, and what is wrong with them.

Settings are values: whoever has read the file and the environment hands both in.
Must not know TOML, files or where a setting is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from agentctl.core import variables
from agentctl.core.addresses import is_web_address
from agentctl.core.durations import parse_duration
from agentctl.core.near import did_you_mean, near_matches
from agentctl.core.sizes import parse_size

WEBHOOK_EVENTS = (
    "session.started",
    "session.stopped",
    "session.error",
    "session.timeout",
    "fuse.set",
    "fuse.extended",
    "fuse.cancelled",
    "fuse.expired",
)
"""The events that are posted. `session.*` and `fuse.*` in a configuration mean all of theirs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    url: str | None = None
    secret: str | None = None
    events: tuple[str, ...] = WEBHOOK_EVENTS
    timeout: timedelta = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting with its default applied; None where there is none."""

    adapter: str | None = None
    fuse: timedelta | None = None
    fuse_warn: timedelta | None = None
    settle: timedelta = timedelta(seconds=1)
    model: str | None = None
    max_running: int | None = None
    stop_timeout: timedelta | None = None
    wait_timeout: timedelta | None = None
    logs_lines: int = 50
    peek_messages: int = 20
    hooks: Mapping[str, str] = field(default_factory=dict)
    """Hook name (`on_create`, `on_complete`, `on_fuse_warn`) → shell command; only those set."""
    hook_timeout: timedelta = timedelta(seconds=300)
    webhook: Webhook = Webhook()
    adapters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Adapter → its table: `command`, `model`, `args`, and whatever else that adapter reads."""
    prune_older_than: timedelta = timedelta(days=7)
    log_max_size: int | None = None
    """Bytes kept of the log of an ended session; None keeps all."""


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


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a text in quotes")
    if not value.strip():
        raise ValueError("must not be empty")
    if "\0" in value:
        raise ValueError("must not contain a NUL character")
    return value


def _duration(value: object) -> timedelta:
    if not isinstance(value, str):
        raise ValueError('must be a duration in quotes, such as "10m"')
    return parse_duration(value)


def _duration_or_zero(value: object) -> timedelta:
    if not isinstance(value, str):
        raise ValueError('must be a duration in quotes, such as "1s" or "0"')
    return parse_duration(value, allow_zero=True)


def _size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError('must be a size, such as "100MB"')
    return parse_size(str(value))


def _count(value: object) -> int:
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}", str(value)):
        raise ValueError("must be a whole number, such as 20")
    return int(str(value))


def _count_from_1(value: object) -> int:
    count = _count(value)
    if count < 1:
        raise ValueError("must be 1 or more")
    return count


def _url(value: object) -> str:
    text = _text(value)
    if not is_web_address(text):
        raise ValueError("must be an address that begins with https:// or http://, in ASCII")
    return text


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        raise ValueError('must be a list of texts, such as ["--verbose"]')
    return tuple(value)


def _command(value: object) -> tuple[str, ...]:
    words = (value,) if isinstance(value, str) else _words(value)
    if not words or not words[0].strip():
        raise ValueError("must name a program")
    return words


def _events(value: object) -> tuple[str, ...]:
    wanted: list[str] = []
    for word in _words(value):
        if word.endswith("*"):
            meant = [known for known in WEBHOOK_EVENTS if known.startswith(word[:-1])]
        else:
            meant = [known for known in WEBHOOK_EVENTS if known == word]
        if not meant:
            suggestion = did_you_mean(near_matches(word, WEBHOOK_EVENTS))
            suggestion = suggestion and f", {suggestion}"
            allowed = ", ".join((*WEBHOOK_EVENTS, "session.*", "fuse.*"))
            raise ValueError(f"has no event '{word}'{suggestion} (allowed: {allowed})")
        wanted += meant
    return tuple(dict.fromkeys(wanted))


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of the configuration file."""

    name: str
    """Dotted; `NAME` stands for an adapter."""
    read: Callable[[object], Any]
    help: str
    default: str | tuple[str, ...] | None = None
    """As it would be written; None for no setting."""
    variable: str | None = None
    """Environment variable that beats the file."""
    is_list: bool = False
    is_secret: bool = False

    @property
    def table(self) -> str:
        return self.name.rpartition(".")[0]


SCHEMA: tuple[Key, ...] = (
    Key(name="adapter", read=_text, help="Adapter of a launch that names none.", variable=variables.ADAPTER),
    Key(name="defaults.fuse", read=_duration, help="Deadline of every launch.", variable=variables.FUSE),
    Key(name="defaults.fuse_warn", read=_duration, help="How long before the deadline to warn."),
    Key(
        name="defaults.settle",
        read=_duration_or_zero,
        help="How long a launch watches for an early failure.",
        default="1s",
    ),
    Key(name="defaults.model", read=_text, help="Model of a launch that names none."),
    Key(
        name="defaults.max_running",
        read=_count_from_1,
        help="Refuse a launch if more sessions would be live than this.",
    ),
    Key(name="stop.timeout", read=_duration_or_zero, help="How long an agent gets before stop kills it."),
    Key(name="wait.timeout", read=_duration_or_zero, help="After how long wait gives up."),
    Key(name="peek.messages", read=_count, help="How many messages peek shows.", default="20"),
    Key(name="logs.lines", read=_count, help="With how many lines logs begins.", default="50"),
    Key(name="hooks.on_create", read=_text, help="Shell command before an agent starts."),
    Key(name="hooks.on_complete", read=_text, help="Shell command after an agent has ended."),
    Key(name="hooks.on_fuse_warn", read=_text, help="Shell command before a deadline."),
    Key(name="hooks.timeout", read=_duration, help="How long a hook may run.", default="5m"),
    Key(
        name="webhook.url",
        read=_url,
        help="Where events are posted.",
        variable=variables.WEBHOOK_URL,
    ),
    Key(
        name="webhook.secret",
        read=_text,
        help="Key that signs what is posted.",
        variable=variables.WEBHOOK_SECRET,
        is_secret=True,
    ),
    Key(
        name="webhook.events",
        read=_events,
        help="Events that are posted.",
        default=("session.*", "fuse.*"),
        is_list=True,
    ),
    Key(name="webhook.timeout", read=_duration, help="How long a post may take.", default="10s"),
    Key(name="prune.older_than", read=_duration, help="Age at which prune forgets.", default="7d"),
    Key(name="logs.max_size", read=_size, help="What reap keeps of the log of an ended session."),
)

ADAPTER_SCHEMA: tuple[Key, ...] = (
    Key(name="adapters.NAME.command", read=_command, help="Program in place of the adapter's own."),
    Key(name="adapters.NAME.model", read=_text, help="Model of a launch of this adapter that names none."),
    Key(
        name="adapters.NAME.args",
        read=_words,
        help="Arguments of every launch of this adapter.",
        is_list=True,
    ),
)

_KEYS = {key.name: key for key in SCHEMA}
_ADAPTER_KEYS = {key.name.rpartition(".")[2]: key for key in ADAPTER_SCHEMA}
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
            what = "is no table of the configuration" if isinstance(value, Mapping) else "is no setting"
            near = near_matches(name, _TABLES) if isinstance(value, Mapping) else near_keys(name)
            found.append(Problem(name, what, _hint(near)))
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
    for key in SCHEMA:
        raw, source = effective(key, data, environ)
        if source == "environment" and key.variable:
            wrong += _wrong(key.variable, key, raw, in_environment=True)
        if not wrong:
            values[key.name] = None if raw is None else key.read(raw)
    if wrong:
        raise SettingsError(wrong)
    hooks = ("on_create", "on_complete", "on_fuse_warn")
    return Settings(
        adapter=values["adapter"],
        fuse=values["defaults.fuse"],
        fuse_warn=values["defaults.fuse_warn"],
        settle=values["defaults.settle"],
        model=values["defaults.model"],
        max_running=values["defaults.max_running"],
        stop_timeout=values["stop.timeout"],
        wait_timeout=values["wait.timeout"],
        logs_lines=values["logs.lines"],
        peek_messages=values["peek.messages"],
        hooks={name: values[f"hooks.{name}"] for name in hooks if values[f"hooks.{name}"]},
        hook_timeout=values["hooks.timeout"],
        webhook=Webhook(
            url=values["webhook.url"],
            secret=values["webhook.secret"],
            events=values["webhook.events"],
            timeout=values["webhook.timeout"],
        ),
        adapters=data.get("adapters", {}),
        prune_older_than=values["prune.older_than"],
        log_max_size=values["logs.max_size"],
    )


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
            yield Problem(dotted, "is no setting", _hint(near_keys(dotted), table))


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


def _hint(near: Sequence[str], table: str | None = None) -> str:
    if near:
        return did_you_mean(near)
    if table:
        names = [key.name.rpartition(".")[2] for key in SCHEMA if key.table == table]
        return f"[{table}] takes {', '.join(names)}"
    return "agentctl config show lists all of them"
