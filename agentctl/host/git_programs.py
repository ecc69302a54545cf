"""Which settings of a repository name programs, and what is put in their place.

Reads the answer of `git config --list --show-scope -z`. What the user set for every repository
stands; what is written in the repository's own configuration, by whomever, does not.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

PROGRAMS: tuple[tuple[str, str], ...] = (
    (r"core\.hookspath", os.devnull),
    (r"core\.sshcommand", "ssh"),
    (r"core\.askpass", ""),
    (r"core\.alternaterefscommand", "true"),
    (r"core\.(pager|editor)", "cat"),
    (r"gpg\.(.+\.)?program", "false"),
    (r"diff\.(external|.+\.(command|textconv))", ""),
    (r"merge\..+\.driver", "false"),
    (r"filter\..+\.(clean|smudge|process)", ""),
    (r"filter\..+\.required", "false"),
    (r"protocol\.(ext\.)?allow", "never"),
    (r"gc\.recentobjectshook", "true"),
)
"""Pattern of a setting → the harmless value."""

TRANSPORTS = re.compile(r"core\.gitproxy|remote\..+\.(uploadpack|receivepack|vcs)", re.DOTALL)
"""Of these the first value counts, and that is the repository's own: no later one can replace it."""

LISTS = re.compile(r"credential\.(.+\.)?helper", re.DOTALL)
"""Settings that add up. An empty value empties the list."""

LFS = {"clean": "git-lfs clean -- %f", "smudge": "git-lfs smudge -- %f", "process": "git-lfs filter-process"}
"""What `git lfs install --local` writes: git-lfs itself and nothing else."""

_PATTERNS = [(re.compile(pattern, re.DOTALL), value) for pattern, value in PROGRAMS]
_FILTER = re.compile(r"filter\.(.+)\.(clean|smudge|process|required)", re.DOTALL)


class Setting(NamedTuple):
    """One setting; `is_own` says that the repository's configuration has it."""

    name: str
    value: str
    is_own: bool


def overrides(listed: str) -> list[tuple[str, str]]:
    """Settings that take the place of those that name a program: what the user set elsewhere, or nothing."""
    settings = list(_read(listed))
    outer: dict[str, list[str]] = {}
    for each in settings:
        if not each.is_own:
            outer.setdefault(each.name, []).append(each.value)
    found: list[tuple[str, str]] = []
    if "core.hookspath" in outer:
        found.append(("core.hookspath", outer["core.hookspath"][-1]))
    if "protocol.ext.allow" in outer:
        found.append(("protocol.ext.allow", outer["protocol.ext.allow"][-1]))
    for name in dict.fromkeys(each.name for each in settings if each.is_own and not _is_lfs(each)):
        if LISTS.fullmatch(name):
            found += [(name, ""), *((name, value) for value in outer.get(name, ()))]
        elif name.startswith("hook.") and name.endswith(".command"):
            found.append((f"{name.removesuffix('command')}enabled", "false"))
        else:
            for pattern, harmless in _PATTERNS:
                if pattern.fullmatch(name):
                    found.append((name, outer.get(name, [harmless])[-1]))
    return found


def transports(listed: str) -> list[str]:
    """The repository's own settings because of which no remote may be asked at all."""
    return [each.name for each in _read(listed) if each.is_own and TRANSPORTS.fullmatch(each.name)]


def filters(listed: str) -> list[str]:
    """The names of the filters that `overrides` turns off."""
    names = (_FILTER.fullmatch(each.name) for each in _read(listed) if each.is_own and not _is_lfs(each))
    return list(dict.fromkeys(match[1] for match in names if match))


def _is_lfs(setting: Setting) -> bool:
    match = _FILTER.fullmatch(setting.name)
    if match is None or match[1] != "lfs":
        return False
    return match[2] == "required" or LFS[match[2]] == setting.value


def _read(listed: str) -> Iterator[Setting]:
    """Scope and setting alternate, each ended by NUL; a setting without a value has no line end."""
    parts = listed.split("\0")
    for scope, setting in zip(parts[::2], parts[1::2], strict=False):
        name, _, value = setting.partition("\n")
        yield Setting(name, value, scope in ("local", "worktree"))
