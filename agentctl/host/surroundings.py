"""The variables that whatever started agentctl left behind: which of them go on, and to whom.

An agent gets what its user set. Nothing gets what belongs to one call of git. The shim and the
calls that finish a session do without what could break them or run somebody else's code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from agentctl.core import variables

GIT_LOCAL = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_PARAMETERS",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NAMESPACE",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_QUARANTINE_PATH",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)
"""`git rev-parse --local-env-vars` and their kin: git sets them for its hooks, to name one repository."""

PYTHON_PLACES = frozenset(
    {"PYTHONHOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONPLATLIBDIR", "PYTHONPYCACHEPREFIX"}
)
"""Where Python finds itself and its packages. Its other variables change what a program does."""

SHELL_MODES = frozenset({"SHELLOPTS", "BASHOPTS"})
"""A bash takes these over even as `sh`: with `noexec` it would run nothing. It lets nobody set them again."""


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """What an invocation works with and hands on: everything but what belongs to a call of git."""
    kept = {name: value for name, value in environ.items() if not _is_gits(name)}
    for name in kept.pop(variables.RESTORE, "").split():
        if (value := kept.pop(f"{variables.SET}{name}", None)) is not None:
            kept[name] = value
    if not environ.keys().isdisjoint({"GIT_DIR", "GIT_INDEX_FILE"}):
        # A hook of git: the date is that of the commit under way, and would become that of every other.
        kept.pop("GIT_AUTHOR_DATE", None)
    return kept


def _is_gits(name: str) -> bool:
    return name in GIT_LOCAL or name.startswith(("GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_"))


def split(environ: Mapping[str, str], program: str) -> tuple[dict[str, str], dict[str, str]]:
    """What a shim of this program text is started with, and what it sets again for its agent.

    The shim's own variables are short words: one of that name that the user has exported would
    reach the agent with the shim's value. Python's variables are for the agent's Python.
    """
    shim: dict[str, str] = {}
    agent: dict[str, str] = {}
    for name, value in environ.items():
        if _is_function_of_the_shim(name, program) or name in SHELL_MODES:
            continue
        is_word = name.islower() and name.isascii() and name.isidentifier()
        is_pythons = name.startswith("PYTHON") and name not in PYTHON_PLACES and name.isidentifier()
        if name == "FUNCNEST" or is_pythons or (is_word and name in program):
            agent[name] = value
        else:
            shim[name] = value
    if path := _own_places(environ.get("PYTHONPATH", "")):
        shim["PYTHONPATH"] = path
    return shim, agent


def of_hooks(environ: Mapping[str, str]) -> dict[str, str]:
    """What a hook gets of a call's variables: nothing of a shim's, nothing that changes its shell."""
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith((variables.SET, variables.SHIM)) and name not in SHELL_MODES
    }


def _is_function_of_the_shim(name: str, program: str) -> bool:
    """Whether this is bash's exported function of a name that the shim calls."""
    function, mark, _ = name.removeprefix("BASH_FUNC_").partition("%%" if name.endswith("%%") else "()")
    return bool(mark) and name.startswith("BASH_FUNC_") and function in program


def _own_places(path: str) -> str:
    """The entries that agentctl and Click were loaded from: an agent may write into any other."""
    if not path:
        return ""
    modules = [sys.modules.get("agentctl"), sys.modules.get("click")]
    files = [getattr(module, "__file__", None) for module in modules]
    own = {os.path.realpath(os.path.dirname(os.path.dirname(file))) for file in files if file}
    entries = [os.path.abspath(entry) for entry in path.split(os.pathsep)]
    return os.pathsep.join(entry for entry in entries if os.path.realpath(entry) in own)
