"""The program behind the `acp` adapter: one process for one session, between agentctl and an ACP agent.

    python RUNNER [--model M] [--mode M] [--resume ID] [--permissions allow|deny] [--timeout S]
           [--grace S] [--quiet S] -- AGENT…

Takes the prompt from standard input, starts the agent as the only holder of its pipes, leads it
through one turn of the Agent Client Protocol (version 1), and makes sure that it exits. Writes
one JSON object per line to standard output:

    {"at": …, "type": "start",      "agent": ["opencode", "acp"], "pid": 4242}
    {"at": …, "type": "out",        "phase": …, "frame": {…}}      what was sent
    {"at": …, "type": "in",         "phase": …, "frame": {…}}      what came, known or not
    {"at": …, "type": "garbage",    "text": …}                     what came and is not a frame
    {"at": …, "type": "stderr",     "text": …}
    {"at": …, "type": "session",    "id": …, "how": "new", "agent": "OpenCode 1.18.33", "model": …}
    {"at": …, "type": "permission", "title": …, "answer": "denied", "option": …}
    {"at": …, "type": "quiet",      "seconds": 25}                 the agent has sent nothing for so long
    {"at": …, "type": "end",        "stop_reason": …, "error": …, "usage": …, "text": …, "agent_exit": 0, …}

Phases are setup, replay, turn, closing, and aside for another session's messages: only what
comes in `turn` belongs to the reply.

Exit: 0 the turn ended, or reached the limit of the model's output · 1 it failed or was refused
· 126, 127 the agent cannot be started · 128 + n ended on request, by signal n.

If the runner is killed with KILL, the agent reads the end of its input and exits by itself.
May import only its neighbours, by their bare names: it is started as a directory, by an
interpreter that may not see the package.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or __package__:
    from agentctl.adapters.acp.runner.known import AGENTS, UNKNOWN
    from agentctl.adapters.acp.runner.link import NO_METHOD, Agent, Order
    from agentctl.adapters.acp.runner.records import (
        Frame,
        Log,
        Phase,
        StopRequested,
        Trouble,
        current_model,
        listed,
        mapping,
        option_of,
    )
    from agentctl.adapters.acp.runner.turn import Turn
else:
    from known import AGENTS, UNKNOWN
    from link import NO_METHOD, Agent, Order
    from records import (
        Frame,
        Log,
        Phase,
        StopRequested,
        Trouble,
        current_model,
        listed,
        mapping,
        option_of,
    )
    from turn import Turn

PROTOCOL = 1
NO_LOGIN = -32000
HELLO = {
    "protocolVersion": PROTOCOL,
    # No file access: an agent that is offered `writeTextFile` both writes its files and sends them.
    "clientCapabilities": {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False},
    "clientInfo": {"name": "agentctl", "version": "1"},
}
NOT_DONE = {
    "refusal": "the agent refused to answer",
    "cancelled": "the agent cancelled the turn",
    "max_turn_requests": "the agent stopped early: it reached its limit of requests in one turn",
}
"""Reasons for a turn's end that are not a success, in words."""

SILENCE = "the agent ended its turn without saying anything or calling a tool"


def main(arguments: list[str]) -> int:
    """Lead one session; the exit code."""
    order, log, turn = read_order(arguments), Log(), Turn()
    prompt = sys.stdin.buffer.read().decode("utf-8", "replace")
    end: dict[str, Any] = {}
    try:
        agent = Agent(order, log, turn)
    except OSError as error:
        log.record("end", error=f"the agent {order.words[0]} cannot be started: {error.strerror}")
        return 127 if isinstance(error, FileNotFoundError) else 126
    try:
        end["error"], code = lead(agent, prompt, end)
    finally:
        agent.end()
    log.record("end", **end, **outcome(agent))
    return code


def lead(agent: Agent, prompt: str, end: dict[str, Any]) -> tuple[str | None, int]:
    """From the greeting to the answer. Returns the error if there is one, and the exit code."""
    try:
        session = greet(agent, end)
        content = [{"type": "text", "text": prompt}]
        answer = agent.call("session/prompt", {"sessionId": session, "prompt": content}, is_prompt=True)
    except StopRequested:
        number = agent.stop or 0
        end["stopped_by"] = number
        end["stop_reason"] = (agent.cancel() or {}).get("stopReason")
        return None, 128 + number
    except Trouble as trouble:
        return str(trouble), 1
    end["stop_reason"], end["usage"] = answer.get("stopReason"), agent.turn.usage(answer)
    error = judge(end["stop_reason"], end["usage"], agent.turn)
    return error, 0 if error is None else 1


def judge(reason: object, usage: Frame | None, turn: Turn) -> str | None:
    """What is wrong with a turn that was answered; None for a finished turn.

    An agent may report an error of its model's server as `end_turn` and nothing else.
    """
    if reason in ("end_turn", "max_tokens") and (failure := turn.failure(usage)) is not None:
        return failure
    if reason == "end_turn" and turn.is_denied_last:
        return f"the agent stopped early: permission for {turn.denied[-1]} was denied"
    if reason == "max_tokens" or (
        reason == "end_turn" and (turn.has_spoken or turn.tools or turn.is_failure_noted)
    ):
        return None
    if reason == "end_turn":
        retried = " (except for notices of retries)" if turn.retries else ""
        return SILENCE + retried
    return NOT_DONE.get(str(reason)) or f"the agent ended its turn for an unknown reason: {reason}"


def greet(agent: Agent, end: dict[str, Any]) -> str:
    """Everything before the prompt. Returns the session's id."""
    hello = agent.call("initialize", HELLO)
    info = mapping(hello.get("agentInfo"))
    agent.turn.known = AGENTS.get(str(info.get("name")), UNKNOWN)
    end["agent"] = " ".join(str(info[key]) for key in ("name", "version") if info.get(key)) or None
    version = hello.get("protocolVersion")
    if version != PROTOCOL:
        raise Trouble(f"the agent speaks version {version} of the protocol instead of {PROTOCOL}")
    how, told = open_session(agent, hello)
    session = told.get("sessionId", agent.order.resume)
    if not isinstance(session, str):
        raise Trouble(f"the agent answered session/{how} without a session id")
    agent.session = session
    end["session"], end["how"] = session, how
    opened = {"id": session, "how": how, "agent": end["agent"]}
    try:
        if agent.order.model is not None:
            choose_model(agent, told, agent.order.model)
        if agent.order.mode is not None:
            choose_mode(agent, told, agent.order.mode)
    finally:
        # Once the model is chosen: until then it is one that will not be used.
        agent.log.record("session", **opened, model=agent.model)
    return session


def open_session(agent: Agent, hello: Frame) -> tuple[str, Frame]:
    """A new session, or an earlier one by the best method that the agent announces."""
    where: Frame = {"cwd": os.getcwd(), "mcpServers": []}
    earlier = agent.order.resume
    if earlier is None:
        try:
            return "new", agent.call("session/new", where)
        except Trouble as trouble:
            offers = [str(each.get("name") or each.get("id")) for each in listed(hello.get("authMethods"))]
            if trouble.code == NO_LOGIN and offers:
                raise Trouble(f"{trouble} (it offers: {', '.join(offers)})") from None
            raise
    where["sessionId"] = earlier
    can = mapping(hello.get("agentCapabilities"))
    if mapping(can.get("sessionCapabilities")).get("resume") is not None:
        return "resume", agent.call("session/resume", where)
    if can.get("loadSession") is True:
        agent.phase = Phase.REPLAY
        told = agent.call("session/load", where)
        agent.phase = Phase.SETUP
        return "load", told
    raise Trouble(
        "the agent cannot continue an earlier session: it announces neither session/resume nor session/load"
    )


def choose_model(agent: Agent, told: Frame, model: str) -> None:
    """By the agent's own option, or the way of older agents. Raises Trouble if the agent offers none."""
    session = {"sessionId": agent.session}
    option = option_of(told, "model")
    try:
        if option is not None:
            given = {**session, "configId": option.get("id"), "value": model}
            answer = agent.call("session/set_config_option", given)
            agent.model = current_model(answer) or model
            return
    except Trouble as trouble:
        if trouble.code != NO_METHOD or not told.get("models"):
            raise Trouble(f"model {model} was refused: {trouble}") from None
    if not told.get("models"):
        raise Trouble(
            f"the agent does not let a client choose the model, so it cannot use {model}:"
            " put the agent's own option for it behind its command"
        )
    try:
        agent.call("session/set_model", {**session, "modelId": model})
    except Trouble as trouble:
        raise Trouble(f"model {model} was refused: {trouble}") from None
    agent.model = model


def choose_mode(agent: Agent, told: Frame, mode: str) -> None:
    """By the modes that the agent offers, or its option for them. Raises Trouble for one it does not have."""
    session = {"sessionId": agent.session}
    offered = [
        (str(each.get("id")), str(each.get("name")))
        for each in listed(mapping(told.get("modes")).get("availableModes"))
    ]
    option = option_of(told, "mode")
    if not offered and option is not None:
        offered = [(str(each.get("value")), str(each.get("name"))) for each in listed(option.get("options"))]
    chosen = next((each for each, name in offered if is_called(mode, each, name)), None)
    if chosen is None:
        # Some agents name their modes by addresses that end in #NAME.
        names = ", ".join(each.rpartition("#")[2] for each, _ in offered) or "none"
        raise Trouble(f"the agent has no mode {mode}; it offers: {names}")
    try:
        if told.get("modes"):
            agent.call("session/set_mode", {**session, "modeId": chosen})
        else:
            configured = {"configId": (option or {}).get("id"), "value": chosen}
            agent.call("session/set_config_option", {**session, **configured})
    except Trouble as trouble:
        raise Trouble(f"mode {mode} was refused: {trouble}") from None


def is_called(mode: str, identifier: str, name: str) -> bool:
    return mode.casefold() in (
        identifier.casefold(),
        identifier.rpartition("#")[2].casefold(),
        name.casefold(),
    )


def outcome(agent: Agent) -> dict[str, Any]:
    """What is recorded about a session once its agent has exited."""
    turn = agent.turn
    return {
        "text": turn.text,
        "model": agent.model if agent.is_asked else None,
        "tools": len(turn.tools),
        "denied": turn.denied,
        "retries": turn.retries,
        "cost_usd": turn.spent(is_new=agent.order.resume is None),
        "agent_exit": agent.exit,
        "lost_records": agent.log.lost,
    }


def read_order(arguments: list[str]) -> Order:
    """The arguments from the adapter: pairs, then the agent's words."""
    end = arguments.index("--")
    given = dict(zip(arguments[:end:2], arguments[1:end:2], strict=True))
    order = Order(
        words=arguments[end + 1 :],
        model=given.pop("--model", None),
        mode=given.pop("--mode", None),
        resume=given.pop("--resume", None),
        permissions=given.pop("--permissions", "deny"),
        timeout=float(given.pop("--timeout", 60)),
        grace=float(given.pop("--grace", 10)),
        quiet=float(given.pop("--quiet", 25)),
    )
    if given or not order.words:
        raise SystemExit(f"not arguments of the ACP runner: {arguments}")
    return order


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
