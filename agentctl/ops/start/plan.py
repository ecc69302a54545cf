"""Everything about a launch that can be decided, and refused, before anything is touched.

Reads the configuration and the file system; writes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from agentctl.adapters import registry
from agentctl.adapters.base import Adapter, Capability, Command, CommandRequest
from agentctl.core import variables
from agentctl.core.ids import new_id
from agentctl.core.model import DEFAULT_FUSE, Fuse, FuseAction, Session, Status
from agentctl.errors import AdapterUnavailable, UsageFault
from agentctl.host.programs import find_program, obstacle
from agentctl.ops.directories.paths import existing_directory
from agentctl.ops.reconcile import webhook
from agentctl.ops.settings.tables import adapter_table
from agentctl.runtime import Runtime

if TYPE_CHECKING:
    from agentctl.ops.worktrees.make import PlannedWorktree, WorktreeRequest

MAX_DEPTH = 3
"""How deep agents may launch agents."""

ARGUMENT_LIMIT = 131_071
"""Bytes of one argument on Linux."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOptions:
    """What a person can ask of every start; None where the configuration or a default decides."""

    name: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    fuse: timedelta | None = None
    no_fuse: bool = False
    fuse_warn: timedelta | None = None
    force: bool = False
    settle: timedelta = timedelta(seconds=1)
    hooks: Mapping[str, str] = field(default_factory=dict)
    meta: Mapping[str, str] = field(default_factory=dict)
    """Sent along with every webhook of the session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRequest:
    """A session to start; None where the configuration or a default decides."""

    adapter: str
    prompt: str | None
    cwd: str
    model: str | None
    args: tuple[str, ...]
    options: StartOptions
    predecessor: Session | None = None
    """The session that `resume` continues or `rerun` repeats."""
    is_resume: bool = False
    max_depth: int = MAX_DEPTH
    worktree: WorktreeRequest | None = None
    """Run in a worktree of its own, not in `cwd`."""
    planned: PlannedWorktree | None = None
    """The same worktree, planned."""
    group: str | None = None
    max_running: int | None = None
    """Refuse the launch if more sessions than this would then be live."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A launch with every default applied: what is stored, and what is started."""

    session: Session
    fuse: Fuse | None
    command: Command
    environ: Mapping[str, str]
    patch: Mapping[str, str | None]
    worktree: PlannedWorktree | None = None
    """The worktree it runs in, made or to be made."""


def plan_launch(runtime: Runtime, request: LaunchRequest) -> Plan:
    """Everything that can be decided, and refused, before anything is touched."""
    now = runtime.clock()
    name, options = request.adapter, request.options
    adapter = registry.load(name)
    planned = request.planned
    cwd = planned.path if planned is not None else existing_directory(request.cwd)
    section = adapter_table(runtime, name, adapter)
    session_id = new_id()
    environ = {key: value for key, value in runtime.environ.items() if not key.startswith(variables.SET)}
    model = request.model
    if model is None and not request.predecessor and Capability.MODEL in adapter.CAPABILITIES:
        model = section.get("model") or runtime.settings.model
    wanted = CommandRequest(
        session_id=session_id,
        cwd=cwd,
        prompt=request.prompt,
        model=model,
        args=request.args,
        program=_configured_command(section),
        config=section,
        environ={**environ, **options.env},
        given=frozenset(options.env),
    )
    if request.is_resume and request.predecessor is not None:
        command = adapter.resume_command(request.predecessor, wanted)
    else:
        if Capability.LAUNCH not in adapter.CAPABILITIES:
            raise AdapterUnavailable(f"adapter {name} is read-only: it cannot launch")
        command = adapter.launch_command(wanted)
    program = find_program(command.argv[0], cwd, wanted.environ)
    if program is None and planned is not None and not planned.is_made and "/" in command.argv[0]:
        program = os.path.join(cwd, command.argv[0])  # the worktree may bring it
    if program is None:
        why_not = obstacle(command.argv[0], cwd, wanted.environ)
        raise _not_installed(command.argv[0], name, adapter, why_not)
    for further in command.programs:
        if find_program(further, cwd, wanted.environ) is None:
            why_not = obstacle(further, cwd, wanted.environ)
            raise _not_installed(further, name, adapter, why_not)
    command = command._replace(argv=(program, *command.argv[1:]))
    for word in command.argv:
        if len(os.fsencode(word)) > ARGUMENT_LIMIT:
            raise UsageFault(
                f"an argument of {len(os.fsencode(word))} bytes is longer than a program can be given",
                hint="pass long text by --prompt-file, or in a file that the command reads",
            )
    fuse = _fuse(runtime, options, session_id, now)
    depth = _depth(runtime, request)
    previous = request.predecessor
    session = Session(
        id=session_id,
        adapter=name,
        cwd=cwd,
        status=Status.STARTING,
        created_at=now,
        name=options.name,
        ladder=adapter.LADDER,
        native_id=previous.native_id if request.is_resume and previous else command.native_id,
        parent_id=runtime.environ.get(variables.SESSION_ID) or None,
        depth=depth,
        resumed_from=previous.id if previous else None,
        group=request.group,
        branch=planned.branch if planned else previous.branch if previous else None,
        repo=planned.repository.main if planned else previous.repo if previous else None,
        base_commit=planned.base_commit if planned else previous.base_commit if previous else None,
        model=model or (previous.model if previous else None),
        requested_model=model,
        prompt=request.prompt,
        args=request.args,
        env_keys=tuple(options.env),
        hooks=dict(options.hooks),
        meta=dict(options.meta),
        webhook=webhook.wish(runtime.environ),
        store_path=adapter.store_path(_patched(wanted.environ, command.env)),
        notes=command.notes,
    )
    patch: dict[str, str | None] = {
        **options.env,
        **command.env,
        "PWD": cwd,
        variables.SESSION_ID: session_id,
        variables.DEPTH: str(depth),
        variables.DEADLINE: None if fuse is None else f"{fuse.deadline:%Y-%m-%dT%H:%M:%SZ}",
        variables.HOOK: None,
    }
    return Plan(
        session=session,
        fuse=fuse,
        command=command,
        environ=environ,
        patch=patch,
        worktree=planned,
    )


def _patched(environ: Mapping[str, str], patch: Mapping[str, str | None]) -> dict[str, str]:
    """The environment with these changes; None removes."""
    kept = {name: value for name, value in environ.items() if name not in patch}
    return kept | {name: value for name, value in patch.items() if value is not None}


def _configured_command(section: Mapping[str, object]) -> tuple[str, ...]:
    command = section.get("command")
    if isinstance(command, str):
        return (command,)
    return tuple(str(word) for word in command) if isinstance(command, list | tuple) else ()


def _not_installed(program: str, name: str, adapter: Adapter, why_not: str | None) -> AdapterUnavailable:
    if why_not is not None:
        hint = "make it executable (chmod +x), or name another program"
        return AdapterUnavailable(f"adapter {name}: {why_not}", hint=hint)
    hint = adapter.INSTALL or "check the spelling and PATH"
    return AdapterUnavailable(f"adapter {name}: {program}: command not found", hint=hint)


def _fuse(runtime: Runtime, options: StartOptions, session_id: str, now: datetime) -> Fuse | None:
    """`--fuse` stops the session; the default fuse stops nothing; `--no-fuse` sets none."""
    if options.no_fuse:
        return None
    wanted = options.fuse or runtime.settings.fuse
    length = wanted or DEFAULT_FUSE
    warn = options.fuse_warn or (runtime.settings.fuse_warn if wanted else None)
    if options.fuse_warn is not None and warn is not None and warn >= length:
        raise UsageFault(
            "the warning would come before the launch",
            hint="--fuse-warn says how long before the deadline to warn: make it shorter than the fuse",
        )
    deadline = now + length
    return Fuse(
        id=new_id(),
        session_id=session_id,
        created_at=now,
        deadline=deadline,
        action=FuseAction.STOP if wanted else FuseAction.NONE,
        warn_at=deadline - warn if warn is not None and warn < length else None,
    )


def _depth(runtime: Runtime, request: LaunchRequest) -> int:
    """How many agents launched each other before this one. Raises UsageFault beyond the limit."""
    told = runtime.environ.get(variables.DEPTH, "")
    depth = int(told[:9]) + 1 if told.isascii() and told.isdigit() else 0
    if depth > request.max_depth:
        raise UsageFault(
            f"agents would be launching agents {depth} deep; the limit is {request.max_depth}",
            hint="raise the limit with --max-depth if you mean it",
        )
    return depth


def default_adapter(runtime: Runtime) -> str:
    """The configured adapter, else the first installed one; AdapterUnavailable with how to get one."""
    if runtime.settings.adapter:
        return runtime.settings.adapter
    hints = []
    for name in registry.ADAPTERS:
        adapter = registry.load(name)
        if name in registry.ACP_AGENTS or adapter.PROGRAM is None or adapter.INSTALL is None:
            continue
        hints.append(f"{name}: {adapter.INSTALL}")
        if find_program(adapter.PROGRAM, "/", runtime.environ) is not None:
            return name
    raise AdapterUnavailable(
        "no agent program is installed, and no adapter was named",
        hint="; ".join([*hints, 'or try the built-in one: agentctl launch demo -p "Say hello"']),
    )
