"""Whose sessions a listing looks for besides those launched here. Imports no adapter."""

from __future__ import annotations

from agentctl.adapters import registry
from agentctl.runtime import Runtime


def discovering(runtime: Runtime) -> list[str]:
    """The adapters that may have sessions of their own: built-in ones, then those the settings name.

    To look which adapters other packages bring costs more than a listing. So one of theirs
    is asked only if its table says `discover = true`. A wrong configuration asks none.
    """
    tables = {}
    if _speaks_of_discovery(runtime) and (settings := runtime.sound_settings) is not None:
        tables = dict(settings.adapters)
    return registry.in_use(runtime.environ, tables)


def _speaks_of_discovery(runtime: Runtime) -> bool:
    """The configuration holds the word: reading it as TOML would cost every listing some milliseconds."""
    try:
        with open(runtime.paths.config_file, "rb") as file:
            return b"discover" in file.read()
    except OSError:
        return False
