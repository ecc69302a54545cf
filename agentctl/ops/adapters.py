"""What adapters there are, and whether their programs are installed. A broken one is a fact, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentctl.adapters import registry
from agentctl.host.programs import find_program
from agentctl.runtime import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterFacts:
    """One adapter as it can be used here. `error` for one that cannot be loaded: then the rest is empty."""

    name: str
    source: str
    """`built in`, or the module that another package provides."""
    program: str | None = None
    """None for an adapter that needs none."""
    found: str | None = None
    """Where the program is."""
    install: str | None = None
    verified: str | None = None
    capabilities: tuple[str, ...] = ()
    summary: str | None = None
    error: str | None = None


def survey(runtime: Runtime, tables: Mapping[str, Mapping[str, Any]]) -> list[AdapterFacts]:
    """Every adapter, built-in ones first; `tables` are the configured `[adapters.NAME]`."""
    others = registry.third_party()
    sources = dict.fromkeys(registry.ADAPTERS, "built in")
    sources |= {name: module for name, module in others.items() if name not in sources}
    return [_facts(runtime, name, source, tables.get(name, {})) for name, source in sources.items()]


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
        )
    except Exception as error:
        # Another package's code: whatever is wrong with it must not hide the other adapters.
        return AdapterFacts(name=name, source=source, error=f"{type(error).__name__}: {error}")


def _program(table: Mapping[str, Any]) -> str | None:
    """The configured program in place of the adapter's own."""
    command = table.get("command")
    if isinstance(command, str):
        return command
    return str(command[0]) if command else None
