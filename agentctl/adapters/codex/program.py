"""Which file a launch of `codex` starts.

npm installs a launcher in JavaScript. Under Node releases that cannot replace their own
process it stays as the parent of the real program, which works on unwatched if the launcher
is killed. So the real program is started directly if it is found beside its launcher.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from agentctl.host.programs import find_program, is_executable

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
    path = find_program(PROGRAM, cwd, environ)
    return (path and _native(os.path.realpath(path))) or PROGRAM


def _native(launcher: str) -> str | None:
    target = TARGETS.get((sys.platform, os.uname().machine))
    if target is None or not launcher.endswith(os.sep + LAUNCHER):
        return None
    name, triple = target
    package = os.path.dirname(os.path.dirname(launcher))
    scope = os.path.dirname(package)
    for home in (os.path.join(package, "node_modules", "@openai", name), os.path.join(scope, name), package):
        path = os.path.join(home, "vendor", triple, "bin", PROGRAM)
        if is_executable(path):
            return path
    return None
