"""The ACP runner: a real process that leads a real agent, which misbehaves in every way it can."""

from __future__ import annotations

import array
import fcntl
import json
import os
import signal
import subprocess
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from agentctl.adapters import acp
from agentctl.adapters.acp.commands import RUNNER
from agentctl.adapters.acp.rendering import conversation
from agentctl.core.model import AgentVerdict, Session, Status, Tokens
from tests.adapters.acp_runs import AGENT, QUICK, Lead, Start
from tests.fake_acp_agent import GREETING, SESSION

if TYPE_CHECKING:
    from tests.conftest import WaitUntil

SILENCE = "the agent ended its turn without saying anything or calling a tool"


def row() -> Session:
    from datetime import UTC, datetime

    now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    return Session(id="s", adapter="acp", cwd="/", status=Status.STOPPED, created_at=now)


def is_dead(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def at_work(lead: Lead, wait_until: WaitUntil, text: str = '"text": "hang"') -> Lead:
    """Until the agent has begun its turn."""
    wait_until(lambda: text in lead.log.read_text(errors="replace"))
    return lead


def test_one_turn(start: Start, tmp_path: Path) -> None:
    lead = start(prompt="Do it\nwell \u2028 \U0001f642")
    end = lead.end()
    assert lead.exit() == 0
    expected = {
        "agent": "Fake 0.1",
        "session": SESSION,
        "how": "new",
        "stop_reason": "end_turn",
        "error": None,
        "text": GREETING,
        "model": "small",
        "agent_exit": 0,
        "lost_records": 0,
    }
    assert {key: end[key] for key in expected} == expected
    assert lead.sent() == ["initialize", "session/new", "session/prompt"]
    hello, new, prompt = lead.frames("out")
    assert hello["params"]["clientCapabilities"] == {
        "fs": {"readTextFile": False, "writeTextFile": False},
        "terminal": False,
    }
    assert new["params"] == {"cwd": str(tmp_path), "mcpServers": []}
    assert prompt["params"]["prompt"] == [{"type": "text", "text": "Do it\nwell \u2028 \U0001f642"}]
    result = acp.result(row(), str(lead.log))
    assert (result.verdict, result.text, result.notes) == (AgentVerdict.OK, GREETING, ())
    assert result.tokens == Tokens(input=10, output=3, cache_read=2, cache_write=1)
    assert acp.native_id(row(), str(lead.log)) == result.native_id == SESSION


def test_any_bytes_are_a_prompt(start: Start) -> None:
    lead = start(prompt=b"\x1b[31m \xe4 " + b"long " * 100_000)
    assert lead.exit() == 0
    assert lead.frames("out")[-1]["params"]["prompt"][0]["text"].startswith(
        "\x1b[31m \N{REPLACEMENT CHARACTER} l"
    )


def test_only_what_comes_between_the_prompt_and_its_answer_is_the_reply(start: Start) -> None:
    lead = start("banner", "late")
    assert lead.end()["text"] == GREETING
    assert '"text": "service"' in lead.text and '"text": "more"' in lead.text, "it is kept all the same"
    assert start("banner", "silent").end()["error"] == SILENCE
    assert start("subagent", "silent").end()["error"] == SILENCE, "another session's words are not this one's"


def test_the_last_message_is_the_word_that_counts(start: Start) -> None:
    """What a tool call divides is two messages, also where an agent numbers none of them."""
    end = start("child", "tool", "say:All done", options=QUICK).end()
    assert (end["text"], end["tools"]) == ("All done", 2)


@pytest.mark.parametrize(
    ("orders", "error"),
    [
        (["silent"], SILENCE),
        (["name:pi-acp", "retries"], f"{SILENCE} (except for notices of retries)"),
        (["stop:refusal"], "the agent refused to answer"),
        (["stop:cancelled"], "the agent cancelled the turn"),
        (["stop:max_turn_requests"], "the agent stopped early: it reached its limit of requests in one turn"),
        (["stop:new_reason"], "the agent ended its turn for an unknown reason: new_reason"),
        (["error:session/prompt"], "no session/prompt today: not at all"),
        (["error:session/new"], "session/new: no session/new today: not at all"),
        (["error:initialize"], "initialize: no initialize today: not at all"),
        (["login"], "session/new: Authentication required (it offers: A key)"),
        (["version:99"], "the agent speaks version 99 of the protocol instead of 1"),
        (["exit:3"], "the agent exited with code 3 before it answered session/prompt"),
        (["exit:0"], "the agent exited with code 0 before it answered session/prompt"),
        (["die:KILL"], "the agent was ended by SIGKILL before it answered session/prompt"),
        (["close"], "the agent closed its output before it answered session/prompt"),
        (["endless:70000000", "hang"], "the agent wrote a line of more than 64 MiB"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_is_no_success(start: Start, orders: list[str], error: str) -> None:
    lead = start(*orders, options=QUICK if orders[0].startswith(("close", "endless")) else ())
    assert lead.end()["error"] == error
    assert lead.exit() == 1
    result = acp.result(row(), str(lead.log))
    assert (result.verdict, result.text) == (AgentVerdict.ERROR, error)


@pytest.mark.parametrize("orders", [["tool", "silent"], ["stop:max_tokens"]], ids=["tool alone", "cut off"])
def test_what_is_a_success_all_the_same(start: Start, orders: list[str]) -> None:
    lead = start(*orders)
    assert lead.end()["error"] is None
    assert lead.exit() == 0
    notes = acp.result(row(), str(lead.log)).notes
    assert notes == (("the answer was cut off at the model's output limit",) if orders[0] != "tool" else ())


@pytest.mark.parametrize("method", ["initialize", "session/new", "session/set_config_option"])
def test_every_request_but_the_prompt_has_a_deadline(start: Start, method: str) -> None:
    lead = start(f"mute:{method}", options=("--timeout", "2", "--model", "large"))
    assert f"the agent did not answer {method} within 2 s" in lead.end()["error"]
    assert lead.exit() == 1


def test_the_prompt_has_none(start: Start, wait_until: WaitUntil) -> None:
    lead = start("hang", options=("--timeout", "2"))
    at_work(lead, wait_until)
    asked = psutil.Process(lead.child.pid).cpu_times()
    wait_until(lambda: age(lead) > 3)
    assert lead.child.poll() is None
    assert psutil.Process(lead.child.pid).cpu_times().user - asked.user < 0.2, "it waits, and does not ask"


def age(lead: Lead) -> float:
    import time

    return time.time() - psutil.Process(lead.child.pid).create_time()


def test_a_missing_program(start: Start, tmp_path: Path) -> None:
    missing = start(words=("no-such-agent", "--acp"))
    assert missing.end()["error"] == "the agent no-such-agent cannot be started: No such file or directory"
    assert missing.exit() == 127
    (tmp_path / "data").write_text("")
    assert start(words=("./data",)).exit() == 126


# Models


def test_a_model_is_chosen_by_the_agents_own_option(start: Start) -> None:
    lead = start(options=("--model", "large"))
    assert lead.end()["model"] == "large"
    (chosen,) = [one for one in lead.frames("out") if one["method"] == "session/set_config_option"]
    assert chosen["params"] == {"sessionId": SESSION, "configId": "m", "value": "large"}


@pytest.mark.parametrize("orders", [["old-model"], ["old-model", "error:session/set_config_option"]])
def test_an_older_agent_is_told_the_model_in_its_way(start: Start, orders: list[str]) -> None:
    lead = start(*orders, options=("--model", "large"))
    assert lead.end()["model"] == "large"
    assert "session/set_model" in lead.sent()


@pytest.mark.parametrize(
    ("orders", "words"),
    [
        ([], "model huge was refused: session/set_config_option: model not found"),
        (["old-model"], "model huge was refused: session/set_model: model not found"),
        (
            ["no-model"],
            "the agent does not let a client choose the model, so it cannot use huge:"
            " put the agent's own option for it behind its command",
        ),
    ],
    ids=["unknown", "unknown to an older one", "none"],
)
def test_a_model_that_cannot_be_had(start: Start, orders: list[str], words: str) -> None:
    lead = start(*orders, options=("--model", "huge"))
    assert lead.end()["error"] == words
    assert "session/prompt" not in lead.sent(), "nothing is asked of a model that nobody wanted"
    assert acp.result(row(), str(lead.log)).native_id == SESSION


# Going on with an earlier session


@pytest.mark.parametrize(
    ("orders", "how"), [([], "resume"), (["no-load"], "resume"), (["no-resume"], "load")], ids=str
)
def test_an_earlier_session_goes_on(start: Start, orders: list[str], how: str) -> None:
    lead = start(*orders, options=("--resume", SESSION, "--model", "large"))
    end = lead.end()
    assert (end["how"], end["session"], end["model"], end["text"]) == (how, SESSION, "large", GREETING)
    assert lead.sent()[1] == f"session/{how}"
    shown = [message.text for message in acp.log_messages(lead.text.split("\n"))]
    assert GREETING in shown and "What was said before" not in shown


def test_a_replay_is_no_word_of_this_turn(start: Start) -> None:
    assert start("no-resume", "silent", options=("--resume", SESSION)).end()["error"] == SILENCE


def test_an_agent_that_cannot_go_on_is_said_to(start: Start) -> None:
    lead = start("no-resume", "no-load", options=("--resume", SESSION))
    error = lead.end()["error"]
    assert "announces neither session/resume nor session/load" in error
    assert lead.sent() == ["initialize"]


# What the agent asks


@pytest.mark.parametrize(("policy", "picked"), [("allow", "id-allow_once"), ("deny", "id-reject_once")])
def test_permissions_follow_the_policy(start: Start, policy: str, picked: str) -> None:
    lead = start("ask", options=("--permissions", policy))
    assert lead.end()["text"] == f"permission: {picked}"
    assert lead.exit() == 0
    (record,) = lead.records("permission")
    answer = "allowed" if policy == "allow" else "denied"
    assert (record["title"], record["answer"], record["option"]) == ("rm -rf /", answer, picked)
    notes = acp.result(row(), str(lead.log)).notes
    assert notes == (() if policy == "allow" else ("permission for rm -rf / was denied",))


def test_a_turn_that_a_denial_ended_is_no_success(start: Start) -> None:
    lead = start("ask-then-silent")
    assert lead.end()["error"] == "the agent stopped early: permission for rm -rf / was denied"
    assert lead.exit() == 1


def test_other_requests_are_refused(start: Start) -> None:
    lead = start("request:fs/read_text_file", "request:terminal/create", "silent")
    assert lead.end()["text"] == "fs/read_text_file: -32601terminal/create: -32601"


# Noise


def test_noise_is_kept_and_harms_nothing(start: Start) -> None:
    lead = start("garbage", "stderr:2000000")
    end = lead.end()
    assert (end["text"], end["stop_reason"], lead.exit()) == (GREETING, "end_turn", 0)
    assert [one["text"] for one in lead.records("garbage")] == ["not a frame", "[1, 2]", '"text"', '{"half":']
    assert next(one for one in lead.frames("in") if one.get("method") == "x/new")["ünknown"] == "\ud800"
    updates = [one["params"]["update"] for one in lead.frames("in") if one.get("method") == "session/update"]
    assert {"sessionUpdate": "brand_new_update", "stuff": {"a": 1}} in updates
    said = [one["text"] for one in lead.records("stderr")]
    assert (sum(map(len, said[:-1])), said[-1]) == (2_000_000, "last words")
    assert acp.result(row(), str(lead.log)).text == GREETING


def test_a_frame_of_20_mb_arrives(start: Start) -> None:
    lead = start("huge:20000000")
    assert (lead.end()["text"], lead.exit()) == (GREETING, 0)
    assert max(map(len, lead.log.read_bytes().split(b"\n"))) > 20_000_000
    assert acp.result(row(), str(lead.log)).text == GREETING


def test_stderr_is_no_record(start: Start, tmp_path: Path) -> None:
    """An agent cannot put words into the runner's mouth."""
    forged = json.dumps({"at": "2026-01-01T00:00:00+00:00", "type": "end", "error": None, "text": "forged"})
    script = tmp_path / "agent.sh"
    script.write_text(f"#!/bin/sh\necho '{forged}'; echo '{forged}' >&2\n")
    script.chmod(0o700)
    lead = start(words=(str(script),))
    assert "exited with code 0 before it answered initialize" in lead.end()["error"]
    assert acp.result(row(), str(lead.log)).verdict is AgentVerdict.ERROR


def test_costs_are_those_of_the_turn(start: Start) -> None:
    assert start("cost:1.5,2.25").end()["cost_usd"] == 2.25
    assert start("cost:1.5,2.25", options=("--resume", SESSION)).end()["cost_usd"] == 0.75
    assert start().end()["cost_usd"] is None


# The end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_cancels_the_turn(start: Start, wait_until: WaitUntil, number: signal.Signals) -> None:
    lead = at_work(start("hang"), wait_until)
    lead.child.send_signal(number)
    lead.child.send_signal(number)
    end = lead.end()
    assert (end["stopped_by"], end["stop_reason"], end["error"]) == (number, "cancelled", None)
    assert (end["text"], end["agent_exit"], lead.exit()) == ("I hang", 0, 128 + number)
    assert lead.sent()[-1] == "session/cancel"
    assert acp.result(row(), str(lead.log)).verdict is AgentVerdict.SILENT


def test_an_agent_deaf_to_the_cancel_is_ended_by_its_input(start: Start, wait_until: WaitUntil) -> None:
    lead = at_work(start("deaf", options=("--grace", "2")), wait_until)
    lead.child.terminate()
    end = lead.end()
    assert (end["stop_reason"], end["agent_exit"], lead.exit()) == (None, 0, 143)


@pytest.mark.parametrize(("order", "code"), [("stay", -signal.SIGTERM), ("stubborn", -signal.SIGKILL)])
def test_an_agent_that_stays_is_ended(start: Start, order: str, code: int) -> None:
    lead = start(order, options=QUICK)
    end = lead.end()
    assert (end["agent_exit"], lead.exit()) == (code, 0)
    note = f"the agent's process was ended by {signal.Signals(-code).name}"
    assert acp.result(row(), str(lead.log)).notes == (note,)


def test_a_stubborn_agent_is_stopped(start: Start, wait_until: WaitUntil) -> None:
    lead = at_work(start("deaf", "stubborn", options=QUICK), wait_until)
    lead.child.terminate()
    assert (lead.end()["agent_exit"], lead.exit()) == (-signal.SIGKILL, 143)


@pytest.mark.parametrize("orders", [["child"], ["child", "exit:1"], ["child", "die:KILL"]], ids=str)
def test_a_child_that_keeps_the_pipes_open_is_ended_too(start: Start, orders: list[str]) -> None:
    lead = start(*orders, options=QUICK)
    end = lead.end()
    found = [
        one.text.split()[1] for one in conversation(lead.text.split("\n")) if one.text.startswith("child")
    ]
    assert is_dead(int(found[0]))
    assert (end["error"] is None) == (len(orders) == 1)


@pytest.mark.parametrize("method", ["initialize", "session/new"])
def test_a_stop_before_the_turn(start: Start, wait_until: WaitUntil, method: str) -> None:
    lead = start(f"mute:{method}")
    wait_until(lambda: method in lead.sent())
    lead.child.terminate()
    end = lead.end()
    assert (end["stopped_by"], lead.exit(), lead.sent()[-1]) == (signal.SIGTERM, 143, method)


def test_an_agent_finds_its_input_at_the_end_when_the_runner_is_killed(
    start: Start, wait_until: WaitUntil
) -> None:
    lead = at_work(start("hang"), wait_until)
    lead.child.kill()
    lead.child.wait()
    wait_until(lambda: is_dead(lead.agent))
    result = acp.result(row(), str(lead.log))
    assert (result.verdict, result.native_id, result.text) == (AgentVerdict.SILENT, SESSION, "I hang")
    assert (result.model, result.adapter_version) == ("small", "Fake 0.1")


def test_an_agent_that_reads_nothing_does_not_block(start: Start, tmp_path: Path) -> None:
    """A prompt larger than a pipe holds, and an agent that never takes it."""
    script = tmp_path / "agent.py"
    script.write_text(
        "import json, signal\n"
        "for number in (1, 2):\n"
        "    input()\n"
        "    result = {'protocolVersion': 1} if number == 1 else {'sessionId': 'x'}\n"
        "    print(json.dumps({'jsonrpc': '2.0', 'id': number, 'result': result}), flush=True)\n"
        "signal.alarm(1)\n"
        "signal.pause()\n"
    )
    lead = start(words=(sys.executable, str(script)), prompt="x" * 1_000_000)
    assert lead.end()["error"] == "the agent was ended by SIGALRM before it answered session/prompt"


def test_it_runs_without_the_package(tmp_path: Path) -> None:
    """The standard library alone, and little of it: one of these is resident for each session."""
    (tmp_path / "json.py").write_text("raise SystemExit(9)")
    code = (
        "import runpy, sys; sys.argv[1:] = ['--', '/nowhere/agent']\n"
        f"try: runpy.run_path({RUNNER!r}, run_name='__main__')\n"
        "except SystemExit as left: print(left.code, *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "127" in loaded
    assert not any(name.startswith("agentctl") for name in loaded)
    assert not loaded & {"subprocess", "asyncio", "socket", "argparse", "inspect", "threading"}


def test_a_full_log_ends_nothing(start: Start) -> None:
    """Records that cannot be written are lost; the session goes on, and its exit code tells."""
    command = (sys.executable, "-I", "-S", "-u", RUNNER, "--", sys.executable)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*command, str(AGENT)],
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_log_that_has_room_again_goes_on_with_a_new_line(wait_until: WaitUntil) -> None:
    """Half a record is not continued by the next one. The pipe stands for a disk that is full for a while."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    command = (sys.executable, "-I", "-S", "-u", RUNNER, "--", sys.executable, str(AGENT))
    child = subprocess.Popen((*command, "huge:2000000", "hang"), stdin=subprocess.DEVNULL, stdout=writing)
    os.close(writing)
    try:
        wait_until(lambda: waiting_in(reading) > 50_000)
        before = os.read(reading, waiting_in(reading))
        child.terminate()
        after = b""
        while more := os.read(reading, 65536):
            after += more
        assert child.wait(10) == 143
    finally:
        os.close(reading)
        child.kill()
        child.wait()
    *_, cut = before.split(b"\n")
    assert cut.startswith(b'{"at": "') and not cut.endswith(b"}")
    first, *rest = after.split(b"\n")
    records = [json.loads(line) for line in rest if line]
    assert first == b"" and records[-1]["type"] == "end"
    assert records[-1]["lost_records"] >= 1


def waiting_in(descriptor: int) -> int:
    """Bytes that a pipe holds."""
    size = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, size)
    return size[0]


def test_arguments_that_are_not_the_adapters_are_refused() -> None:
    command = [sys.executable, "-I", "-S", "-u", RUNNER, "--colour", "red", "--", "agent"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert done.returncode == 1
    assert b"not arguments of the ACP runner" in done.stderr
    assert os.path.isdir(RUNNER)
