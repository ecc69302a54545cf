"""Whose state this is, when root works with it.

Files of root in a user's state would stop that user's agents, fuses and hooks.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import NoReturn

from agentctl.errors import StateUnusable

ASKED_BY = ("SUDO_UID", "PKEXEC_UID", "DOAS_USER")
"""Who called sudo, pkexec or doas: a number of a user, but a name from doas."""


def continue_as_owner(state: str, environ: Mapping[str, str]) -> None:
    """Start this command again as the user who called sudo, if the state is that user's.

    Raises StateUnusable if that user cannot run this program. Any other root goes on as root.
    """
    if os.geteuid() != 0:
        return
    asking = {uid for name in ASKED_BY if (uid := _number(environ.get(name))) is not None}
    owner = _owner_of_nearest(state)
    if owner is not None and owner[0] != 0 and owner[0] in asking:
        _start_again(state, *owner, environ)


def give_to_owner(path: str) -> None:
    """Give a file or directory that root has made to the owner of the directory it is in."""
    if os.geteuid() != 0:
        return
    with suppress(OSError):
        owner = os.stat(os.path.dirname(path) or ".")
        if owner.st_uid != 0:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def give_files_to_owner(directory: str) -> None:
    """The same for what a shim of root has written into a session's directory."""
    if os.geteuid() != 0:
        return
    with suppress(OSError):
        for name in os.listdir(directory):
            give_to_owner(os.path.join(directory, name))


def _number(user: str | None) -> int | None:
    import pwd

    if not user:
        return None
    if user.isdecimal():
        return int(user)
    with suppress(KeyError):
        return pwd.getpwnam(user).pw_uid
    return None


def _owner_of_nearest(path: str) -> tuple[int, int] | None:
    """User and group of the path, or of the nearest directory above it that exists."""
    while True:
        try:
            found = os.stat(path)
        except OSError:
            above = os.path.dirname(path)
            if above == path:
                return None
            path = above
        else:
            return found.st_uid, found.st_gid


def _start_again(state: str, uid: int, gid: int, environ: Mapping[str, str]) -> NoReturn:
    """A new process image, because the kernel hides much of one that has changed its user from itself."""
    import pwd

    import agentctl

    changed = dict(environ)
    name = f"user {uid}"
    groups = [gid]
    with suppress(KeyError):
        entry = pwd.getpwuid(uid)
        name, gid = entry.pw_name, entry.pw_gid
        groups = os.getgrouplist(name, gid)
        changed |= {"USER": name, "LOGNAME": name}
        if (_owner_of_nearest(environ.get("HOME", "/")) or (0,))[0] != uid:
            changed["HOME"] = entry.pw_dir
    if _may_run(agentctl.__file__, uid, gid, groups):
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], changed)
    raise StateUnusable(
        f"{state} belongs to {name}, who cannot run {sys.executable}: as root, agentctl would break it",
        hint=f"do this as {name}, or point AGENTCTL_HOME at a directory of root",
    )


def _may_run(module: str, uid: int, gid: int, groups: list[int]) -> bool:
    """Whether that user can run this interpreter and read this module; looked at as that user."""
    before = os.getgroups(), os.getegid()
    try:
        os.setgroups(groups)
        os.setegid(gid)
        os.seteuid(uid)
        return all(
            os.access(path, mode, effective_ids=True)
            for path, mode in ((sys.executable, os.X_OK), (module, os.R_OK))
        )
    finally:
        os.seteuid(0)
        os.setegid(before[1])
        os.setgroups(before[0])
