"""Every environment variable of agentctl's own: its name, what it says, and who sets it.

Constants alone, so that any layer may import them. Two programs spell their variables
themselves, because they import no module of agentctl: `shim.sh` and the demo agent.
"""

from __future__ import annotations

HOME = "AGENTCTL_HOME"
ADAPTER = "AGENTCTL_ADAPTER"
FUSE = "AGENTCTL_FUSE"
COMPAT = "AGENTCTL_COMPAT"
WEBHOOK_URL = "AGENTCTL_WEBHOOK_URL"
WEBHOOK_SECRET = "AGENTCTL_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
CLAUDE_USE_API_KEY = "AGENTCTL_CLAUDE_USE_API_KEY"
DEMO_PACE = "AGENTCTL_DEMO_PACE"

SESSION_ID = "AGENTCTL_SESSION_ID"
DEADLINE = "AGENTCTL_DEADLINE"
DEPTH = "AGENTCTL_DEPTH"
NAME = "AGENTCTL_NAME"
CWD = "AGENTCTL_CWD"
BRANCH = "AGENTCTL_BRANCH"
GROUP = "AGENTCTL_GROUP"
MODEL = "AGENTCTL_MODEL"
EXIT_CODE = "AGENTCTL_EXIT_CODE"
OUTCOME = "AGENTCTL_OUTCOME"
EVENT_ID = "AGENTCTL_EVENT_ID"
ATTEMPT = "AGENTCTL_ATTEMPT"
FUSE_ID = "AGENTCTL_FUSE_ID"
HOOK = "AGENTCTL_HOOK"

SHIM = "AGENTCTL_SHIM"
SET = "AGENTCTL_SET_"
PROGRAM = "AGENTCTL_PROGRAM"
RESTORE = "AGENTCTL_RESTORE"

FOR_AGENTCTL = {
    HOME: "Directory of state and settings, in place of the usual ones.",
    CLAUDE_USE_API_KEY: "If 1, claude-code bills ANTHROPIC_API_KEY, not claude's own login.",
}
"""Set by users. ADAPTER, FUSE, COMPAT, WEBHOOK_URL, WEBHOOK_SECRET stand for settings, which explain them."""

FOR_PROGRAMS = {
    SESSION_ID: "Id of the session: in agents, in what they start, and in hooks.",
    DEADLINE: "In agents: when the fuse blows, in UTC.",
    DEPTH: "In agents: how many agents launched each other down to this one.",
    NAME: "In hooks: name of the session.",
    CWD: "In hooks: directory of the session or of the directory fuse.",
    ADAPTER: "In hooks: adapter of the session.",
    BRANCH: "In hooks: git branch, if it is known.",
    GROUP: "In hooks: group, of a session that has one.",
    MODEL: "In hooks: model, if it is known.",
    EXIT_CODE: "In hooks: exit code, if there is one.",
    OUTCOME: "In hooks: outcome, of a session that has ended.",
    EVENT_ID: "In hooks: the same in every attempt to deliver one event.",
    ATTEMPT: "In hooks: which attempt this is, from 1; beyond 1 part of the work may be done.",
    FUSE_ID: "In hooks of directory fuses: id of the fuse.",
    HOOK: "In hooks: 1.",
}
"""Set by agentctl for agents and hooks."""

INTERNAL = {
    SHIM: "Set by agentctl for shims, with their timers and finalising calls, and for deliverers.",
    SET: "Beginning of names: set by agentctl for a shim, which gives the agent the value without it.",
    RESTORE: "Set by agentctl for a shim: names that its finishing calls take back from AGENTCTL_SET_.",
    PROGRAM: "Set by agentctl for a shim: the text that it runs, which unsets it first.",
    DEMO_PACE: "Set by tests and demonstrations: seconds between two lines of the demo agent.",
}
"""Not part of the interface."""
