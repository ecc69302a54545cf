"""Finding a program as a shell would, without the cost of importing shutil."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping


def find_program(name: str, cwd: str, environ: Mapping[str, str]) -> str | None:
    """The absolute path of an executable file: by PATH, or relative to `cwd` if it has a slash."""
    return next((path for path in _candidates(name, cwd, environ) if is_executable(path)), None)


def obstacle(name: str, cwd: str, environ: Mapping[str, str]) -> str | None:
    """Why `find_program` found nothing, as a clause about what is there instead; None if nothing is."""
    for path in _candidates(name, cwd, environ):
        if os.path.isdir(path):
            if "/" in name:
                return f"{path} is a directory"
        elif os.path.exists(path):
            return f"{path} is not executable" if os.path.isfile(path) else f"{path} is not a regular file"
        elif os.path.islink(path):
            return f"{path} is a dangling link"
    return None


def _candidates(name: str, cwd: str, environ: Mapping[str, str]) -> Iterator[str]:
    """Where a shell would look, in its order."""
    if "/" in name:
        yield os.path.join(cwd, name)
    elif name:
        for directory in environ.get("PATH", os.defpath).split(os.pathsep):
            yield os.path.join(cwd, directory, name)


def is_executable(path: str) -> bool:
    """A regular file, or a link to one, that this process may execute."""
    return os.path.isfile(path) and os.access(path, os.X_OK)
