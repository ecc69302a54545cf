"""Name → adapter: a module, or `module:attribute`; imported one at a time and on demand.

Third-party adapters come from the entry-point group `agentctl.adapters`; they are looked up
only for a name that is not built in, because reading the installed packages' metadata costs
more than everything else that `list` does. A built-in name is never replaced.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from agentctl.errors import AdapterUnavailable

if TYPE_CHECKING:
    from agentctl.adapters.base import Adapter

ADAPTERS: dict[str, str] = {
    "claude-code": "agentctl.adapters.claude_code",
    "codex": "agentctl.adapters.codex",
    "opencode": "agentctl.adapters.opencode",
    "pi": "agentctl.adapters.pi",
    "pi-rust": "agentctl.adapters.pi.rust",
    "slate": "agentctl.adapters.slate",
    "acp": "agentctl.adapters.acp",
    "openclaw": "agentctl.adapters.openclaw",
    "exec": "agentctl.adapters.exec",
    "demo": "agentctl.adapters.demo",
    "gemini": "agentctl.adapters.acp.agents:gemini",
    "copilot": "agentctl.adapters.acp.agents:copilot",
    "qwen": "agentctl.adapters.acp.agents:qwen",
    "kimi": "agentctl.adapters.acp.agents:kimi",
    "codex-acp": "agentctl.adapters.acp.agents:codex_acp",
    "claude-agent-acp": "agentctl.adapters.acp.agents:claude_agent_acp",
}
"""Built-in adapters in the order of preference for a launch without an adapter."""

ACP_AGENTS = frozenset(name for name, module in ADAPTERS.items() if ":" in module)
"""Agents of the `acp` adapter with a name of their own. They are launched only by that name, and what
`[adapters.acp]` sets holds for them, too."""

DISCOVERING: dict[str, tuple[str, ...]] = {
    "claude-code": ("$CLAUDE_CONFIG_DIR/projects", "$HOME/.claude/projects"),
    "codex": ("$CODEX_HOME/sessions", "$HOME/.codex/sessions"),
    "opencode": ("$OPENCODE_DB", "$XDG_DATA_HOME/opencode", "$HOME/.local/share/opencode"),
    "pi": (
        "$PI_CODING_AGENT_SESSION_DIR",
        "$PI_CODING_AGENT_DIR/sessions",
        "$HOME/.pi/agent/sessions",
        "$PI_CODING_AGENT_DIR/settings.json",
        "$HOME/.pi/agent/settings.json",
    ),
    "pi-rust": ("$PI_SESSIONS_DIR", "$PI_CODING_AGENT_DIR/sessions", "$HOME/.pi/agent/sessions"),
    "openclaw": (
        "$OPENCLAW_GATEWAY_TOKEN?",
        "$OPENCLAW_WEBHOOK_TOKEN?",
        "$OPENCLAW_GATEWAY_PASSWORD?",
        "$OPENCLAW_GATEWAY_URL?",
        "$OPENCLAW_CONFIG_PATH",
        "$OPENCLAW_STATE_DIR/openclaw.json",
        "$OPENCLAW_HOME/.openclaw/openclaw.json",
        "$HOME/.openclaw/openclaw.json",
    ),
}
"""Adapters with Capability.DISCOVER and where their sessions would be: if nothing exists there,
`list` need not import them. The adapter itself knows the exact place. `$NAME?` stands for a
variable that is set, whatever its value."""

FURTHER: dict[str, tuple[str, str]] = {"claude-code": ("config_dirs", "CLAUDE_CONFIG_DIR")}
"""Adapters with a setting that lists further places of sessions, and the variable that names one of them."""

NAMELESS = frozenset({"exec", "demo"})
"""Adapters whose program has no ids of its own: `list` need not import them to learn one."""

ENTRY_POINT_GROUP = "agentctl.adapters"


def load(name: str) -> Adapter:
    """The adapter of this name. Raises AdapterUnavailable with near matches for an unknown one."""
    module = ADAPTERS.get(name)
    if module is None:
        return _load_third_party(name)
    module, _, attribute = module.partition(":")
    try:
        found = importlib.import_module(module)
        return cast("Adapter", getattr(found, attribute) if attribute else found)
    except ImportError as error:
        raise AdapterUnavailable(
            f"adapter {name} cannot be loaded: {error}",
            hint=f"reinstall the package that provides {module}",
        ) from error


def _load_third_party(name: str) -> Adapter:
    """The adapter that another package provides. Raises AdapterUnavailable for a broken one."""
    module = third_party().get(name)
    if module is None:
        raise unknown(name)
    from importlib.metadata import EntryPoint

    try:
        adapter = EntryPoint(name, module, ENTRY_POINT_GROUP).load()
    except (Exception, SystemExit) as error:
        problem = f"{type(error).__name__}: {error}"
    else:
        problem = "; ".join(_wrong(name, adapter))
        if not problem:
            return cast("Adapter", adapter)
    raise AdapterUnavailable(
        f"adapter {name} cannot be loaded: {problem}",
        hint=f"repair, reinstall or remove the package that provides {module}",
    )


def _wrong(name: str, adapter: Any) -> Iterator[str]:
    """What keeps another package's object from being an adapter."""
    from agentctl.adapters.base import Adapter, Capability

    members = sorted(each for each in vars(Adapter) if not each.startswith("_"))
    missing = [each for each in members if not hasattr(adapter, each)]
    if missing:
        yield f"it lacks {', '.join(missing)}"
        return
    uncallable = [each for each in members if each.islower() and not callable(getattr(adapter, each))]
    if uncallable:
        yield f"not a function: {', '.join(uncallable)}"
    if name != adapter.NAME:
        yield f"it calls itself {adapter.NAME}"
    abilities = adapter.CAPABILITIES
    if not isinstance(abilities, frozenset | set) or abilities - set(Capability):
        yield f"its CAPABILITIES are not a set of {', '.join(Capability)}"
    if not adapter.LADDER:
        yield "its LADDER has no rung"


def in_use(environ: Mapping[str, str], tables: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The discovering adapters that may have sessions under this environment.

    Adapters of other packages only if their table, `[adapters.NAME]`, says `discover = true`.
    """
    built_in = [
        name
        for name, places in DISCOVERING.items()
        if any(_is_there(place, environ) for place in places) or further(name, environ, tables)
    ]
    return [
        *built_in,
        *(name for name, table in tables.items() if name not in ADAPTERS and table.get("discover") is True),
    ]


def further(
    name: str, environ: Mapping[str, str], tables: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, str]]:
    """The environment changed so that it leads to each further place that the adapter's table lists."""
    setting, variable = FURTHER.get(name, ("", ""))
    listed = tables.get(name, {}).get(setting)
    paths = [path for path in listed if isinstance(path, str)] if isinstance(listed, list) else []
    home = environ.get("HOME", "")
    return [
        {**environ, variable: home + path[1:] if path.startswith("~/") and home else path} for path in paths
    ]


def _is_there(place: str, environ: Mapping[str, str]) -> bool:
    if place.endswith("?"):
        return bool(environ.get(place[1:-1]))
    path = _expanded(place, environ)
    return path is not None and os.path.exists(path)


def _expanded(place: str, environ: Mapping[str, str]) -> str | None:
    variable, slash, rest = place.removeprefix("$").partition("/")
    value = environ.get(variable)
    return f"{value}{slash}{rest}" if value else None


def third_party() -> Mapping[str, str]:
    """Entry points of other packages: name → module. The first package on the path keeps a name."""
    return _entry_points(tuple(sys.path))


@lru_cache(maxsize=1)
def _entry_points(path: tuple[str, ...]) -> Mapping[str, str]:
    """Read once per path: a listing loads the adapter of every session."""
    from importlib.metadata import distributions

    found: dict[str, str] = {}
    for package in distributions(path=list(path)):
        try:
            points = package.entry_points.select(group=ENTRY_POINT_GROUP)
        except Exception:  # noqa: S112
            continue  # unreadable metadata may belong to any package
        for point in points:
            found.setdefault(point.name, point.value)
    return found


def names() -> list[str]:
    """Every adapter that `load` knows, built-in ones first."""
    return [*ADAPTERS, *(name for name in third_party() if name not in ADAPTERS)]


def unknown(name: str) -> AdapterUnavailable:
    """The error for an unknown adapter, with what was probably meant."""
    from agentctl.core.near import did_you_mean, near_matches

    hint = f"{did_you_mean(near_matches(name, names(), cutoff=0.5))} agentctl adapters lists all of them"
    return AdapterUnavailable(f"unknown adapter: {name}", hint=hint.lstrip())


if TYPE_CHECKING:
    from agentctl.adapters import acp, claude_code, codex, demo, exec, openclaw, opencode, pi, slate
    from agentctl.adapters.acp import agents
    from agentctl.adapters.pi import rust as pi_rust

    _CHECKED: tuple[Adapter, ...] = (
        claude_code,
        codex,
        opencode,
        pi,
        pi_rust,
        slate,
        acp,
        openclaw,
        exec,
        demo,
        agents.gemini,
        agents.copilot,
        agents.qwen,
        agents.kimi,
        agents.codex_acp,
        agents.claude_agent_acp,
    )
