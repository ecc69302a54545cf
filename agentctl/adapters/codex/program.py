"""Which file a launch of `codex` starts.

npm installs a launcher in JavaScript. Under Node releases that cannot replace their own
process it stays as the parent of the real program, which works on unwatched if the launcher
is killed. So the real program is started directly if it is found beside its launcher.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

PROGRAM = "codex"

LAUNCHER = os.path.join("@openai", "codex", "bin", "codex.js")

TARGETS = {
    ("linux", "x86_64"): ("codex-linux-x64", "x86_64-unknown-linux-musl"),
    ("linux", "aarch64"): ("codex-linux-arm64", "aarch64-unknown-linux-musl"),
    ("darwin", "x86_64"): ("codex-darwin-x64", "x86_64-apple-darwin"),
    ("darwin", "arm64"): ("codex-darwin-arm64", "aarch64-apple-darwin"),
}
"""System and machine → npm's platform package and the directory in it."""


def program(environ: Mapping[str, str], cwd: str) -> str:
    """The real program's path, if the `codex` that PATH finds is npm's launcher; else just `codex`."""
    for directory in environ.get("PATH", "").split(os.pathsep):
        path = os.path.join(cwd, directory, PROGRAM)
        if _is_executable(path):
            return _native(os.path.realpath(path)) or PROGRAM
    return PROGRAM


def _native(launcher: str) -> str | None:
    target = TARGETS.get((sys.platform, os.uname().machine))
    if target is None or not launcher.endswith(os.sep + LAUNCHER):
        return None
    name, triple = target
    package = os.path.dirname(os.path.dirname(launcher))
    scope = os.path.dirname(package)
    for home in (os.path.join(package, "node_modules", "@openai", name), os.path.join(scope, name), package):
        path = os.path.join(home, "vendor", triple, "bin", PROGRAM)
        if _is_executable(path):
            return path
    return None


def _is_executable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)
