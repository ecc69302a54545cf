"""Reading and changing single settings of the configuration file.

A file with several mistakes can be fixed key by key: a change is refused only for a
mistake of its own. Must not know TOML: `host.config_file` reads and writes it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentctl.core import settings as schema
from agentctl.core.options import option_problems, option_value
from agentctl.errors import NotFound, UsageFault
from agentctl.host import config_file as file
from agentctl.ops.settings.tables import near_adapter, options_of

if TYPE_CHECKING:
    from agentctl.runtime import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One key with its effective value."""

    key: str
    value: Any
    """As written; None for no setting."""
    source: str
    """`environment`, `file` or `default`."""
    default: Any = None
    help: str = ""
    is_secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The result of a change: the key's new value in the file (None if it was removed)."""

    key: str
    value: Any
    path: str
    changed: bool
    overridden_by: str | None = None
    """The environment variable that overrides the file with another value."""


def one(runtime: Runtime, name: str) -> Setting:
    """The setting of this dotted name. Raises NotFound for one that does not exist."""
    key = _known(name)
    data = _content(runtime)
    if key is None or key.name.startswith("adapters."):
        return _free(name, data, key)
    return _setting(key, data, runtime.environ)


def every(runtime: Runtime) -> list[Setting]:
    """All settings, in the order of the schema, adapters last. Raises UsageFault for a wrong file."""
    path = runtime.paths.config_file
    data = _content(runtime)
    if wrong := schema.problems(data):
        raise file.fault(path, file.read_text(path), wrong)
    found = [_setting(key, data, runtime.environ) for key in schema.SCHEMA]
    for adapter, table in data.get("adapters", {}).items():
        names = (f"adapters.{adapter}.{name}" for name in table)
        found += [_free(name, data, schema.find_key(name)) for name in names]
    return found


def change(runtime: Runtime, name: str, words: Sequence[str]) -> Change:
    """Write a setting. Raises NotFound for an unknown key, UsageFault for a value it does not take."""
    key = _known(name)
    value = _option_value(name, words) if name.startswith("adapters.") else _value(name, key, words)
    if name == "adapter":
        _refuse_unknown_adapter(str(value))
    path = runtime.paths.config_file
    with file.alone(path):
        changed = _write(path, name, value)
    variable = key.variable if key else None
    overrides = variable and runtime.environ.get(variable) not in (None, "", value)
    return Change(
        key=name, value=value, path=path, changed=changed, overridden_by=variable if overrides else None
    )


def _refuse_unknown_adapter(name: str) -> None:
    from agentctl.adapters import registry

    known = registry.names()
    if name not in known:
        raise UsageFault(f"adapter: there is no adapter {name}", hint=near_adapter(name, known))


def _write(path: str, name: str, value: object) -> bool:
    """Write a checked value; True if that changed the file."""
    text = file.read_text(path)
    data = file.parse(path, text)
    parts = name.split(".")
    for depth in range(1, len(parts)):
        outer = schema.lookup(data, parts[:depth])
        if outer is not None and not isinstance(outer, Mapping):
            where = ".".join(parts[:depth])
            raise UsageFault(f"{where} is not a table in {path}", hint=f"agentctl config unset {where}")
    if isinstance(schema.lookup(data, parts), Mapping):
        raise UsageFault(f"{name} is a table in {path}", hint=f"agentctl config unset {name}")
    changed: bool = schema.lookup(data, parts) != value
    if changed:
        file.write(path, file.with_value(text, parts, value))
    return changed


def remove(runtime: Runtime, name: str) -> Change:
    """Remove a setting from the file, where it need not be. Unknown keys can be removed too."""
    path = runtime.paths.config_file
    parts = name.split(".")
    with file.alone(path):
        text = file.read_text(path)
        is_there = schema.lookup(file.parse(path, text), parts) is not None
        if is_there:
            file.write(path, file.without(text, parts))
    if not is_there:
        _known(name)
    return Change(key=name, value=None, path=path, changed=is_there)


def endings_by_default(runtime: Runtime) -> str | None:
    """What is posted, in a sentence, where there is an address and nobody chose the events; else None."""
    settings = runtime.sound_settings
    if settings is None or settings.webhook_url is None:
        return None
    if schema.is_set("webhook.events", _content(runtime), runtime.environ):
        return None
    return (
        "webhook.events is not set: only the ends of sessions are posted, each once; starts and fuses, which"
        " earlier versions posted too, are not"
    )


def exists(runtime: Runtime) -> bool:
    """Whether there is a configuration file."""
    return os.path.exists(runtime.paths.config_file)


def _content(runtime: Runtime) -> dict[str, Any]:
    path = runtime.paths.config_file
    return file.parse(path, file.read_text(path))


def _known(name: str) -> schema.Key | None:
    try:
        return schema.find_key(name)
    except KeyError:
        raise NotFound(f"no setting {name}", hint=schema.hint(schema.near_keys(name))) from None


def _setting(key: schema.Key, data: Mapping[str, Any], environ: Mapping[str, str]) -> Setting:
    value, source = schema.effective(key, data, environ)
    return Setting(
        key=key.name, value=value, source=source, default=key.default, help=key.help, is_secret=key.is_secret
    )


def _free(name: str, data: Mapping[str, Any], key: schema.Key | None) -> Setting:
    value = schema.lookup(data, name.split("."))
    source = "default" if value is None else "file"
    return Setting(key=name, value=value, source=source, help=key.help if key else "")


def _value(name: str, key: schema.Key | None, words: Sequence[str]) -> object:
    """The value to write for these words: a list where the key takes one, else the only word."""
    many = list(words)
    takes_both = key is not None and key.name == "adapters.NAME.command"
    if (key and key.is_list) or ((takes_both or key is None) and len(many) > 1):
        value: object = many
    elif len(many) > 1:
        raise UsageFault(f"{name} takes one value", hint="put it in quotes")
    else:
        value = many[0] if key else _scalar(many[0])
    try:
        if key:
            key.read(value)
    except ValueError as error:
        raise UsageFault(f"{name}: {error}") from error
    return value


def _option_value(name: str, words: Sequence[str]) -> object:
    """The value to write for a key of an adapter's table. NotFound for an unknown adapter or key."""
    from agentctl.adapters import registry

    _, adapter, first, *rest = name.split(".")
    known = registry.names()
    if adapter not in known:
        raise NotFound(f"no setting {name}: there is no adapter {adapter}", hint=near_adapter(adapter, known))
    options = options_of(adapter, registry.load(adapter))
    option = next((one for one in options if one.name == first), None)
    if option is None or (rest and option.kind is not dict):
        key = schema.find_key(name)
        if key is not None:
            return _value(name, key, words)
        problem = option_problems(adapter, {".".join((first, *rest)): None}, options)[0]
        raise NotFound(f"no setting {name}", hint=problem.hint)
    if rest:
        return _value(name, None, words)
    try:
        return option_value(option, words)
    except ValueError as error:
        raise UsageFault(f"{name} {error}") from error


def _scalar(word: str) -> object:
    """A free key's value: whole numbers and booleans as such, everything else as a string."""
    if word in ("true", "false"):
        return word == "true"
    digits = word.removeprefix("-")
    is_number = digits.isascii() and digits.isdigit() and len(digits) < 19
    return int(word) if is_number and (digits == "0" or digits[0] != "0") else word
