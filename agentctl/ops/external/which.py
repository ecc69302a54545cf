"""Whose sessions a listing looks for besides those launched here. Imports no adapter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentctl.adapters import registry
from agentctl.runtime import Runtime

if TYPE_CHECKING:
    from agentctl.adapters.base import Adapter


def discovering(runtime: Runtime) -> list[str]:
    """The adapters that may have sessions of their own: built-in ones, then those the settings name.

    To look which adapters other packages bring costs more than a listing. So one of theirs
    is asked only if its table says `discover = true`. A wrong configuration asks none.
    """
    return registry.in_use(runtime.environ, _tables(runtime))


def store_paths(runtime: Runtime, module: Adapter) -> list[str]:
    """Every place where the adapter's program keeps sessions: by the environment, then by the settings."""
    places = [dict(runtime.environ)]
    if module.NAME in registry.FURTHER:
        places += registry.further(module.NAME, runtime.environ, _tables(runtime))
    paths = (module.store_path(environ) for environ in places)
    return list(dict.fromkeys(path for path in paths if path is not None))


def _tables(runtime: Runtime) -> dict[str, Mapping[str, Any]]:
    """The adapters' tables, if they say anything of discovery."""
    if _speaks_of_discovery(runtime) and (settings := runtime.sound_settings) is not None:
        return dict(settings.adapters)
    return {}


def _speaks_of_discovery(runtime: Runtime) -> bool:
    """The configuration holds such a word: reading it as TOML would cost every listing some milliseconds."""
    try:
        with open(runtime.paths.config_file, "rb") as file:
            text = file.read()
    except OSError:
        return False
    return any(word in text for word in WORDS)


WORDS = (b"discover", *(setting.encode() for setting, _ in registry.FURTHER.values()))
