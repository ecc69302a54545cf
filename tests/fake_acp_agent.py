"""A real child that speaks the Agent Client Protocol, badly where it is told to. It needs no package.

    fake_acp_agent.py [ORDER…]

mute:METHOD          never answers this request
error:METHOD         answers it with a JSON-RPC error
login                answers session/new as an agent does that nobody has logged in to
name:NAME            calls itself so
whole:TEXT           says this in one piece without a message's id, before its answer
no-usage             reports no tokens; quota reports them as gemini does, counts as qwen does
system-error         reports an error state as codex-acp does
version:N            speaks this version of the protocol
no-resume, no-load   does not announce session/resume, session/load
no-model             offers no choice of a model; old-model offers one as older agents do;
                     model-unsaid does not confirm the choice
banner               says something as its own text before there is a prompt
say:TEXT             answers the prompt with this, in pieces of one word (without it: with its greeting)
silent               says nothing
retries              says as pi-acp does that it tries again, and nothing else
stop:REASON          ends its turn for this reason
late                 says something more after the turn's end
subagent             tells in between what a session of another id says
tool                 calls a tool that succeeds, and one that fails
ask                  asks for a permission, tells what was answered
ask-then-silent      asks, and says nothing more; ask-then-notice sends a notice of Copilot's
unnumbered           tells what was answered without a message's id
request:METHOD       sends this request, tells the error that came back
hang                 never answers the prompt, but for a cancel
deaf                 the same, and takes no notice of a cancel
modes                offers modes as most agents do; mode-option does so by an option
pause:S              sends nothing for S seconds before its answer
stay                 stays when its input ends
stubborn             stays when its input ends, and ignores TERM
child                starts a child in its group that keeps the pipes open and ignores TERM; prints its pid
garbage              writes lines that are no frames, and frames that nobody knows
stderr:N             writes N bytes to stderr
huge:N               a frame of N bytes before the answer; endless:N a line of N bytes that has no end
exit:N, die:KILL     ends in the middle of the turn
close                closes its output in the middle of the turn, and stays
cost:A,B             tells a cost of A dollars before the turn and of B in it
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

GREETING = "Hello from the fake agent"
SESSION = "fake-session-1"
MODELS = ("small", "large")


class Leave(Exception):
    """The input has ended."""


class Agent:
    """One connection: what it was told to do, and what it was asked."""

    def __init__(self, orders: list[str]) -> None:
        self.orders = [order.partition(":") for order in orders]
        self.model = MODELS[0]
        self.number = 0

    def has(self, name: str, value: str | None = None) -> bool:
        return any(each[0] == name and value in (None, each[2]) for each in self.orders)

    def value(self, name: str, default: str = "") -> str:
        return next((each[2] for each in self.orders if each[0] == name), default)

    def write(self, frame: dict[str, Any]) -> None:
        print(json.dumps({"jsonrpc": "2.0", **frame}), flush=True)

    def update(self, update: str, /, **fields: Any) -> None:
        params = {"sessionId": SESSION, "update": {"sessionUpdate": update, **fields}}
        self.write({"method": "session/update", "params": params})

    def say(self, text: str, message: str = "m1") -> None:
        pieces = text.split(" ")
        for index, piece in enumerate(pieces):
            words = piece if index == len(pieces) - 1 else piece + " "
            content = {"type": "text", "text": words}
            self.update("agent_message_chunk", messageId=message, content=content)

    def read(self) -> dict[str, Any]:
        line = sys.stdin.readline()
        if not line:
            raise Leave
        frame: dict[str, Any] = json.loads(line)
        return frame

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        self.number += 1
        self.write({"id": f"q{self.number}", "method": method, "params": params})
        while (frame := self.read()).get("id") != f"q{self.number}":
            pass
        return frame

    def serve(self) -> None:
        while True:
            frame = self.read()
            method = frame.get("method", "")
            if "id" not in frame or self.has("mute", method):
                continue
            if self.has("error", method):
                error = {
                    "code": -32603,
                    "message": f"no {method} today",
                    "data": {"details": "\nnot\nat all"},
                }
                self.write({"id": frame["id"], "error": error})
                continue
            answer = self.answer(method, frame.get("params", {}))
            self.write({"id": frame["id"], **answer})
            if method == "session/prompt" and self.has("late"):
                self.say("And one thing more", "m9")

    def answer(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "initialize":
                return {"result": self.hello()}
            case "session/new":
                if self.has("login"):
                    return {"error": {"code": -32000, "message": "Authentication required"}}
                return {"result": {"sessionId": SESSION, **self.opened()}}
            case "session/resume":
                return {"result": self.opened()}
            case "session/load":
                self.say("What was said before", "m0")
                return {"result": self.opened()}
            case "session/set_mode":
                return {"result": {}}
            case "session/set_config_option" if params["configId"] == "how":
                return {"result": {}}
            case "session/set_config_option" | "session/set_model":
                wanted = params.get("value", params.get("modelId"))
                if wanted not in MODELS:
                    return {"error": {"code": -32602, "message": "model not found"}}
                self.model = wanted
                return {"result": {} if self.has("model-unsaid") else self.choices()}
            case "session/prompt":
                return {"result": self.turn(params)}
        return {"error": {"code": -32601, "message": "Method not found"}}

    def hello(self) -> dict[str, Any]:
        can: dict[str, Any] = {"loadSession": not self.has("no-load")}
        if not self.has("no-resume"):
            can["sessionCapabilities"] = {"resume": {}}
        return {
            "protocolVersion": int(self.value("version", "1")),
            "agentCapabilities": can,
            "agentInfo": {"name": self.value("name", "Fake"), "version": "0.1"},
            "authMethods": [{"id": "key", "name": "A key"}],
        }

    def choices(self) -> dict[str, Any]:
        if self.has("no-model"):
            return {}
        if self.has("old-model"):
            known = [{"modelId": name, "name": name} for name in MODELS]
            return {"models": {"availableModels": known, "currentModelId": self.model}}
        values = [{"value": name, "name": name} for name in MODELS]
        option = {"id": "m", "category": "model", "type": "select", "currentValue": self.model}
        return {"configOptions": [{**option, "options": values}]}

    def opened(self) -> dict[str, Any]:
        if self.has("banner"):
            self.say("Fake 0.1, at your service", "m0")
        if self.has("cost"):
            self.tell_cost(0)
        return {**self.choices(), **self.modes()}

    def modes(self) -> dict[str, Any]:
        known = {"https://example.org/modes#plan": "Plan", "yolo": "YOLO"}
        if self.has("mode-option"):
            values = [{"value": value, "name": name} for value, name in known.items()]
            return {"configOptions": [{"id": "how", "category": "mode", "options": values}]}
        if self.has("modes"):
            return {"modes": {"availableModes": [{"id": each, "name": name} for each, name in known.items()]}}
        return {}

    def tell_cost(self, index: int) -> None:
        amount = float(self.value("cost").split(",")[index])
        self.update("usage_update", used=1, size=9, cost={"amount": amount, "currency": "USD"})

    def turn(self, params: dict[str, Any]) -> dict[str, Any]:
        self.misbehave()
        if self.has("pause"):
            time.sleep(float(self.value("pause")))
        if self.has("tool"):
            self.tools()
        for name, _, text in self.orders:
            if name == "whole":
                self.say_whole(text)
        if self.has("ask") or self.has("ask-then-silent") or self.has("ask-then-notice"):
            picked = self.ask_permission()
            if self.has("ask-then-notice"):
                self.say_whole("Info: Operation cancelled by user")
            if not self.has("ask"):
                return {"stopReason": "end_turn", **self.usage()}
            if self.has("unnumbered"):
                self.say_whole(f"permission: {picked}")
            else:
                self.say(f"permission: {picked}")
        for name, _, method in self.orders:
            if name == "request":
                self.say(f"{method}: {self.ask(method, {'path': '/etc/passwd'})['error']['code']}", "m2")
        if self.has("hang") or self.has("deaf"):
            return self.hang()
        if self.has("system-error"):
            self.tell_state(error={"message": "Reconnecting... 1/1", "additionalDetails": "high demand"})
            self.tell_state(threadStatus={"type": "systemError"})
        if self.has("subagent"):
            self.say_elsewhere("From elsewhere")
        if self.has("retries"):
            self.say_whole("Retrying (attempt 1/3, waiting 2s)...")
            self.say_whole("Retry finished, resuming.")
        elif not self.has("silent") and not self.has("ask"):
            self.say(self.value("say", GREETING))
        if self.has("cost"):
            self.tell_cost(1)
        return {"stopReason": self.value("stop", "end_turn"), **self.usage()}

    def usage(self) -> dict[str, Any]:
        if self.has("counts"):
            for _ in range(2):
                content = {"type": "text", "text": ""}
                meta = {"usage": {"inputTokens": 10, "outputTokens": 3, "cachedReadTokens": 0}}
                self.update("agent_message_chunk", content=content, _meta=meta)
            return {}
        if self.has("quota"):
            return {"_meta": {"quota": {"token_count": {"input_tokens": 10, "output_tokens": 3}}}}
        if self.has("no-usage"):
            return {"usage": None, "_meta": {"quota": {"token_count": None, "model_usage": []}}}
        counts = {"inputTokens": 10, "outputTokens": 3, "cachedReadTokens": 2, "cachedWriteTokens": 1}
        return {"usage": counts}

    def tell_state(self, **state: Any) -> None:
        self.update("session_info_update", _meta={"codex": state})

    def say_elsewhere(self, text: str) -> None:
        update = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}
        self.write({"method": "session/update", "params": {"sessionId": "another", "update": update}})

    def say_whole(self, text: str) -> None:
        self.update("agent_message_chunk", content={"type": "text", "text": text})

    def tools(self) -> None:
        self.update("tool_call", toolCallId="c1", title="bash", kind="execute", status="pending")
        given = {"command": "echo hi"}
        self.update("tool_call_update", toolCallId="c1", status="in_progress", rawInput=given)
        done = [{"type": "content", "content": {"type": "text", "text": "\nhi\nthere"}}]
        self.update("tool_call_update", toolCallId="c1", status="completed", content=done)
        self.update("tool_call", toolCallId="c2", title="Read notes", kind="read", status="in_progress")
        self.update("tool_call_update", toolCallId="c2", status="failed", rawOutput={"error": "no such file"})

    def ask_permission(self) -> str:
        kinds = ("allow_once", "allow_always", "reject_once", "reject_always")
        options = [{"optionId": f"id-{kind}", "kind": kind, "name": kind} for kind in kinds]
        call = {"toolCallId": "c1", "title": "rm -rf /", "kind": "execute"}
        params = {"sessionId": SESSION, "toolCall": call, "options": options}
        outcome = self.ask("session/request_permission", params)["result"]["outcome"]
        return str(outcome.get("optionId", outcome["outcome"]))

    def hang(self) -> dict[str, Any]:
        self.say("I hang")
        while self.read().get("method") != "session/cancel" or self.has("deaf"):
            pass
        return {"stopReason": "cancelled"}

    def misbehave(self) -> None:
        if self.has("child"):
            code = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True); signal.pause()"
            child = subprocess.Popen([sys.executable, "-c", code], stderr=sys.stderr)
            self.say_whole(f"child {child.pid}")
        if self.has("garbage"):
            print('not a frame\n[1, 2]\n"text"\n{"half": ', flush=True)
            print('{"jsonrpc": "2.0", "method": "x/new", "params": [1], "ünknown": "\\ud800"}', flush=True)
            self.update("brand_new_update", stuff={"a": 1})
            self.write({"id": 99, "result": {"stopReason": "refusal"}})
            self.write({"id": ["odd"], "result": None})
        if size := int(self.value("stderr", "0")):
            sys.stderr.write("e" * size + "\nlast words\n")
            sys.stderr.flush()
        if size := int(self.value("huge", "0")):
            self.update("tool_call", toolCallId="c0", title="x" * size)
        if size := int(self.value("endless", "0")):
            for _ in range(size >> 20):
                sys.stdout.write("x" * (1 << 20))
            sys.stdout.flush()
        if self.has("exit"):
            self.say("half an ans")
            sys.stdout.flush()
            os._exit(int(self.value("exit")))
        if self.has("die"):
            os.kill(os.getpid(), signal.Signals[f"SIG{self.value('die')}"])
        if self.has("close"):
            os.close(1)
            signal.pause()


def main(orders: list[str]) -> int:
    """Serve until the input ends, or longer where that was ordered."""
    agent = Agent(orders)
    if agent.has("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        agent.serve()
    except Leave:
        while agent.has("stay") or agent.has("stubborn"):
            signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
