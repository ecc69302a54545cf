"""The adapters' tables of the configuration, checked against the options of each adapter.

The rest of the file is checked whenever it is read. Only an adapter itself knows its
options, so it is loaded here.
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
"""An option of every adapter of another package: its store is read only if the user says so."""


def options_of(name: str, adapter: Adapter) -> tuple[Option, ...]:
    """The adapter's own keys of its table, without those that all adapters share."""
    return adapter.OPTIONS if name in registry.ADAPTERS else (*adapter.OPTIONS, DISCOVER)


def adapter_table(runtime: Runtime, name: str, adapter: Adapter) -> Mapping[str, Any]:
    """The adapter's table, empty if there is none. UsageFault for an unknown key or a wrong value."""
    table = runtime.settings.adapters.get(name, {})
    if wrong := option_problems(name, table, options_of(name, adapter)):
        path = runtime.paths.config_file
        raise file.fault(path, file.read_text(path), wrong)
    if name in registry.ACP_AGENTS:
        shared = adapter_table(runtime, "acp", registry.load("acp"))
        return {**{one.name: shared[one.name] for one in adapter.OPTIONS if one.name in shared}, **table}
    return table


def adapter_problems(runtime: Runtime) -> Iterator[Problem]:
    """Mistakes that a launch may not notice: in all tables, and in the name of the default adapter."""
    settings = runtime.settings
    known = registry.names()
    if settings.adapter is not None and settings.adapter not in known:
        in_environment = bool(runtime.environ.get(variables.ADAPTER))
        key = variables.ADAPTER if in_environment else "adapter"
        meant = near_adapter(settings.adapter, known)
        yield Problem(key, f"is not an adapter: {settings.adapter}", meant, in_environment=in_environment)
    for name, table in settings.adapters.items():
        if name not in known:
            meant = near_adapter(name, known)
            yield Problem(f"adapters.{name}", "is not an adapter", meant)
            continue
        try:
            adapter = registry.load(name)
        except AgentctlError:
            continue  # reported elsewhere
        yield from option_problems(name, table, options_of(name, adapter))


def near_adapter(name: str, known: list[str]) -> str:
    return did_you_mean(near_matches(name, known)) or "agentctl adapters lists all of them"
