"""The adapters' tables of the configuration, checked against what each adapter reads.

The file itself is checked whenever it is read; what an adapter reads is known by that
adapter alone, which is loaded here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from agentctl.adapters import registry
from agentctl.adapters.base import Adapter, Option
from agentctl.core import variables
from agentctl.core.near import did_you_mean, near_matches
from agentctl.core.options import option_problems
from agentctl.core.settings import Problem
from agentctl.errors import AgentctlError
from agentctl.host import config_file as file

if TYPE_CHECKING:
    from agentctl.runtime import Runtime

DISCOVER = Option("discover", "List the sessions of its own store, too; false by default.", kind=bool)
"""What an adapter of another package has besides its own: it is asked only where it says so."""


def options_of(name: str, adapter: Adapter) -> tuple[Option, ...]:
    """The keys of the adapter's table besides those that every one has."""
    return adapter.OPTIONS if name in registry.ADAPTERS else (*adapter.OPTIONS, DISCOVER)


def adapter_table(runtime: Runtime, name: str, adapter: Adapter) -> Mapping[str, Any]:
    """The adapter's table, empty where there is none. UsageFault for a key or value it does not take."""
    table = runtime.settings.adapters.get(name, {})
    if wrong := option_problems(name, table, options_of(name, adapter)):
        path = runtime.paths.config_file
        raise file.fault(path, file.read_text(path), wrong)
    return table


def adapter_problems(runtime: Runtime) -> Iterator[Problem]:
    """What no launch of another adapter would notice: all tables, and the name of the default adapter."""
    settings = runtime.settings
    known = registry.names()
    if settings.adapter is not None and settings.adapter not in known:
        in_environment = bool(runtime.environ.get(variables.ADAPTER))
        key = variables.ADAPTER if in_environment else "adapter"
        meant = near_adapter(settings.adapter, known)
        yield Problem(key, f"names no adapter: {settings.adapter}", meant, in_environment=in_environment)
    for name, table in settings.adapters.items():
        if name not in known:
            meant = near_adapter(name, known)
            yield Problem(f"adapters.{name}", f"is the table of no adapter: {name}", meant)
            continue
        try:
            adapter = registry.load(name)
        except AgentctlError:
            continue  # that it cannot be loaded is said elsewhere
        yield from option_problems(name, table, options_of(name, adapter))


def near_adapter(name: str, known: list[str]) -> str:
    return did_you_mean(near_matches(name, known)) or "agentctl adapters lists all of them"
