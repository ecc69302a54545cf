"""Finding a program as a shell would, without the cost of importing shutil."""

from __future__ import annotations

import os
from collections.abc import Mapping


def find_program(name: str, cwd: str, environ: Mapping[str, str]) -> str | None:
    """The absolute path of an executable file: by PATH, or relative to `cwd` if it has a slash."""
    if not name:
        return None
    if "/" in name:
        return _executable(os.path.join(cwd, name))
    for directory in environ.get("PATH", os.defpath).split(os.pathsep):
        found = _executable(os.path.join(cwd, directory, name))
        if found is not None:
            return found
    return None


def _executable(path: str) -> str | None:
    return path if os.path.isfile(path) and os.access(path, os.X_OK) else None
