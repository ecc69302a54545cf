"""All adapters, and whether their programs are installed. A broken adapter is listed with its error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentctl.adapters import registry
from agentctl.adapters.base import Adapter, Capability
from agentctl.core.settings import ADAPTER_SCHEMA
from agentctl.errors import AdapterUnavailable
from agentctl.host.programs import find_program
from agentctl.ops.settings.tables import options_of
from agentctl.runtime import Runtime

TAKEN = "its name belongs to a built-in adapter, which is used"


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionFacts:
    """A key of an adapter's table, and its configured value."""

    name: str
    help: str
    choices: tuple[str, ...] = ()
    value: Any = None
    """As configured; None for the default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterFacts:
    """One adapter. `error` is set for one that cannot be loaded; the rest is then empty."""

    name: str
    source: str
    """`built in`, or the module that another package provides."""
    program: str | None = None
    """None for an adapter that does not need a program."""
    found: str | None = None
    """Where the program is."""
    install: str | None = None
    verified: str | None = None
    capabilities: tuple[str, ...] = ()
    summary: str | None = None
    error: str | None = None
    options: tuple[OptionFacts, ...] = ()


def survey(
    runtime: Runtime, tables: Mapping[str, Mapping[str, Any]], names: Sequence[str] = ()
) -> list[AdapterFacts]:
    """Every adapter, built-in ones first, or those named; `tables` are the configured `[adapters.NAME]`."""
    others = registry.third_party()
    for name in names:
        if name not in registry.ADAPTERS and name not in others:
            raise registry.unknown(name)
    wanted = set(names) or {*registry.ADAPTERS, *others}
    found = [
        _facts(runtime, name, "built in", tables.get(name, {}))
        for name in registry.ADAPTERS
        if name in wanted
    ]
    for name, module in others.items():
        if name in registry.ADAPTERS:
            found += [AdapterFacts(name=name, source=module, error=TAKEN)] if name in wanted else []
        elif name in wanted:
            found.append(_facts(runtime, name, module, tables.get(name, {})))
    return found


def _facts(runtime: Runtime, name: str, source: str, table: Mapping[str, Any]) -> AdapterFacts:
    try:
        adapter = registry.load(name)
        program = _program(table) or adapter.PROGRAM
        return AdapterFacts(
            name=name,
            source=source,
            program=program,
            found=find_program(program, "/", runtime.environ) if program else None,
            install=adapter.INSTALL,
            verified=adapter.VERIFIED,
            capabilities=tuple(sorted(str(one) for one in adapter.CAPABILITIES)),
            summary=adapter.SUMMARY,
            options=_options(name, adapter, table),
        )
    except Exception as error:
        # Another package's code: whatever is wrong with it must not hide the other adapters.
        return AdapterFacts(name=name, source=source, error=_problem(name, error))


def _options(name: str, adapter: Adapter, table: Mapping[str, Any]) -> tuple[OptionFacts, ...]:
    """The keys that all adapters share, then the adapter's own."""
    shared = [
        OptionFacts(name=key.last, help=key.help, value=table.get(key.last))
        for key in ADAPTER_SCHEMA
        if key.last != "model" or Capability.MODEL in adapter.CAPABILITIES
    ]
    own = [
        OptionFacts(name=one.name, help=one.help, choices=one.choices, value=table.get(one.name))
        for one in options_of(name, adapter)
    ]
    return (*shared, *own) if Capability.LAUNCH in adapter.CAPABILITIES else tuple(own)


def _problem(name: str, error: Exception) -> str:
    """The error without a repetition of the adapter's name."""
    if isinstance(error, AdapterUnavailable):
        return error.message.removeprefix(f"adapter {name} cannot be loaded: ")
    return f"{type(error).__name__}: {error}"


def _program(table: Mapping[str, Any]) -> str | None:
    """The program that the user configured instead of the adapter's own."""
    command = table.get("command")
    if isinstance(command, str):
        return command
    return str(command[0]) if command else None
