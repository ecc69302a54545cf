"""Name → adapter module, imported one at a time and on demand.

Third-party adapters come in by the entry-point group `agentctl.adapters`; they are
looked up only where a name is not built in, because reading the installed packages'
metadata costs more than everything else `list` does.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from agentctl.errors import AdapterUnavailable

if TYPE_CHECKING:
    from agentctl.adapters.base import Adapter

ADAPTERS: dict[str, str] = {
    "opencode": "agentctl.adapters.opencode",
    "exec": "agentctl.adapters.exec",
    "demo": "agentctl.adapters.demo",
}
"""Built-in adapters in the order of preference for a launch that names none."""

DISCOVERING: dict[str, tuple[str, ...]] = {
    "opencode": ("$OPENCODE_DB", "$XDG_DATA_HOME/opencode", "$HOME/.local/share/opencode"),
}
"""Adapters with Capability.DISCOVER and where their sessions would be: where nothing is,
`list` need not import them. The exact place is the adapter's own business."""

ENTRY_POINT_GROUP = "agentctl.adapters"


def load(name: str) -> Adapter:
    """The adapter of this name. Raises AdapterUnavailable with near matches for an unknown one."""
    module = ADAPTERS.get(name) or third_party().get(name)
    if module is None:
        raise unknown(name)
    try:
        return cast("Adapter", importlib.import_module(module))
    except ImportError as error:
        raise AdapterUnavailable(
            f"adapter {name} cannot be loaded: {error}",
            hint=f"reinstall the package that provides {module}",
        ) from error


def in_use(environ: Mapping[str, str]) -> list[str]:
    """The discovering adapters that may have sessions under this environment."""
    return [
        name
        for name, places in DISCOVERING.items()
        if any(os.path.exists(path) for place in places if (path := _expanded(place, environ)))
    ]


def _expanded(place: str, environ: Mapping[str, str]) -> str | None:
    variable, slash, rest = place.removeprefix("$").partition("/")
    value = environ.get(variable)
    return f"{value}{slash}{rest}" if value else None


def third_party() -> dict[str, str]:
    """Entry points of other packages: name → module."""
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}


def names() -> list[str]:
    """Every adapter that `load` knows, built-in ones first."""
    return [*ADAPTERS, *(name for name in third_party() if name not in ADAPTERS)]


def unknown(name: str) -> AdapterUnavailable:
    """The error for an adapter that nobody provides, with what was probably meant."""
    from difflib import get_close_matches

    near = get_close_matches(name, names(), n=2, cutoff=0.5)
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    return AdapterUnavailable(f"unknown adapter: {name}", hint=f"{meant}agentctl adapters lists all of them")


if TYPE_CHECKING:
    from agentctl.adapters import demo, exec, opencode

    _CHECKED: tuple[Adapter, ...] = (opencode, exec, demo)
