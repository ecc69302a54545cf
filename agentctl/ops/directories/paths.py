"""A directory that a person names: its real path if it exists, else where it may have been."""

from __future__ import annotations

import os

from agentctl.errors import NotFound, UsageFault

EXISTING = "name an existing directory"


def existing_directory(path: str) -> str:
    """The directory's real absolute path.

    Raises NotFound if it does not exist, UsageFault if it is not a directory or cannot be entered.
    """
    try:
        real = os.path.realpath(os.path.expanduser(path), strict=True)
    except PermissionError as error:
        raise UsageFault(f"directory {path} cannot be entered: permission denied") from error
    except OSError as error:
        is_here = path == os.curdir
        hint = "the current directory was removed; launch takes another with --cwd" if is_here else EXISTING
        raise NotFound(f"directory {path}: {error.strerror}", hint=hint) from error
    if not os.path.isdir(real):
        raise UsageFault(f"{path} is not a directory", hint=EXISTING)
    if not os.access(real, os.X_OK):
        raise UsageFault(f"directory {path} cannot be entered: permission denied")
    return real


def possible_paths(path: str) -> tuple[str, ...]:
    """The real paths under which a directory may be recorded, even if it is gone or was moved since."""
    meant = os.path.expanduser(path)
    try:
        real = os.path.realpath(meant)
        named = meant if os.path.isabs(meant) else os.path.join(os.getcwd(), meant)
    except OSError as error:
        raise NotFound(f"directory {path}: {error.strerror}", hint="name it by its absolute path") from error
    # A link may have replaced it. With ".." the path as typed could mean another directory.
    return (real,) if ".." in named.split("/") else tuple(dict.fromkeys((real, os.path.normpath(named))))
