"""OpenClaw: what is made of a gateway's captured answers, and of one that does not answer."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agentctl.adapters import openclaw
from agentctl.adapters.base import CommandRequest, Message, NativeSession
from agentctl.adapters.openclaw import gateway as asking
from agentctl.adapters.openclaw import place, rows
from agentctl.core.model import AgentVerdict, Outcome, Session, Status
from agentctl.errors import AdapterUnavailable
from agentctl.ops.external import cache as natives
from tests.conftest import Run, RunReal
from tests.e2e.receiver import free_port
from tests.fake_gateway import (
    STARTING,
    TOKEN,
    Behaviour,
    FakeGateway,
    Peer,
    answer_in,
    gateway,
    http,
    mismatch,
    refusing,
)

RUNNING = "ws-sessions-list-while-running"
ADDRESS = "ws://127.0.0.1:18789"
MAIN, INCIDENT = "0fe89871-cdbf-4530-bb28-8fcdf1c6805e", "07187523-1cd5-449b-a3d3-fc0c2da103a9"
SLOW = "2d785ea4-fb6b-45bc-821d-e2dc2322882e"
INSTALL = 'install it: pip install "agentctl[openclaw]"'
AT_MOST = 2.0
"""Seconds: more than the budget that these tests set, less than what a person waits for."""


@pytest.fixture(autouse=True)
def no_real_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OPENCLAW_")]:
        monkeypatch.delenv(name)


def use(running: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in running.environ.items():
        monkeypatch.setenv(name, value)


def discovered(running: FakeGateway, monkeypatch: pytest.MonkeyPatch) -> dict[str, NativeSession]:
    use(running, monkeypatch)
    address = openclaw.store_path(os.environ)
    assert address == running.address
    return {native.native_id: native for native in openclaw.discover(address)}


def session(running: FakeGateway, native_id: str | None) -> Session:
    return Session(
        id="a" * 8,
        adapter="openclaw",
        cwd="",
        status=Status.IDLE,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        native_id=native_id,
        store_path=running.address,
    )


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of the time for gateways that use it up."""
    monkeypatch.setattr(asking, "BUDGET", 0.5)


# Where it is


def configure(home: Path, text: str) -> dict[str, str]:
    path = home / ".openclaw" / "openclaw.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return {"HOME": str(home)}


def found(environ: Mapping[str, str]) -> place.Place:
    there = place.find(environ)
    assert there is not None
    return there


def test_where_nothing_speaks_of_it_there_is_no_gateway(tmp_path: Path) -> None:
    assert openclaw.store_path({"HOME": str(tmp_path)}) is None
    assert openclaw.store_path({}) is None
    assert openclaw.store_path({"HOME": str(tmp_path), "OPENCLAW_GATEWAY_PORT": "1"}) is None


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({"OPENCLAW_GATEWAY_TOKEN": "t"}, ADDRESS),
        ({"OPENCLAW_GATEWAY_PASSWORD": "t"}, ADDRESS),
        ({"OPENCLAW_GATEWAY_TOKEN": "t", "OPENCLAW_GATEWAY_PORT": "4000"}, "ws://127.0.0.1:4000"),
        ({"OPENCLAW_GATEWAY_TOKEN": "t", "OPENCLAW_GATEWAY_PORT": "99999"}, ADDRESS),
        ({"OPENCLAW_GATEWAY_TOKEN": "t", "OPENCLAW_GATEWAY_PORT": "x"}, ADDRESS),
        ({"OPENCLAW_GATEWAY_URL": "wss://gw.example:443/ws/"}, "wss://gw.example:443/ws"),
        ({"OPENCLAW_GATEWAY_URL": "http://[::1]:18789"}, "ws://[::1]:18789"),
        ({"OPENCLAW_GATEWAY_URL": "HTTPS://gw.example"}, "wss://gw.example"),
    ],
)
def test_the_address_in_the_environment(environ: dict[str, str], address: str) -> None:
    assert openclaw.store_path(environ) == address


def test_no_credential_stays_in_an_address() -> None:
    url = "ws://user:s3cret@gw.example:1/ws?token=s3cret#s3cret"
    assert openclaw.store_path({"OPENCLAW_GATEWAY_URL": url}) == "ws://gw.example:1/ws"


@pytest.mark.parametrize(
    "url", ["gw.example:1", "ftp://gw.example", "ws://", "ws://h:port", "ws://a\nb", "ws://[::1"]
)
def test_what_is_no_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(AdapterUnavailable) as caught:
        openclaw.store_path({"OPENCLAW_GATEWAY_URL": url})
    assert url not in caught.value.message
    assert "OPENCLAW_GATEWAY_URL" in (caught.value.hint or "")


JSON5 = """// written by hand
{
  gateway: {
    mode: 'local', /* here */
    port: 18951,
    auth: { mode: "token", token: 'it\\'s "quoted" // no comment, }', },
  },
}
"""


def test_a_configuration_is_json5(tmp_path: Path) -> None:
    environ = configure(tmp_path, JSON5)
    assert found(environ) == ("ws://127.0.0.1:18951", ("token", 'it\'s "quoted" // no comment, }'), None)


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("{gateway: {port: 0x4A07}}", 18951),
        ("{gateway: {port: +18951, // behind a number\n}}", 18951),
        ("{'gateway': {'port': 18951, note: 'two \\\nlines'}}", 18951),
        ('{"gateway": {"port": 18951, "note": "a\ttab"}}', 18951),
    ],
)
def test_all_of_json5_is_read(tmp_path: Path, text: str, port: int) -> None:
    assert found(configure(tmp_path, text)).address == f"ws://127.0.0.1:{port}"


def test_json5_without_its_library_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.parse.cache_clear()
    monkeypatch.setitem(sys.modules, "json5", None)
    with pytest.raises(AdapterUnavailable, match="needs the package json5") as caught:
        place.find(configure(tmp_path, JSON5))
    assert caught.value.hint == INSTALL
    assert found(configure(tmp_path, '{"gateway": {"port": 9}}')).address == "ws://127.0.0.1:9"


def test_a_long_configuration_is_read_only_as_json(tmp_path: Path) -> None:
    text = '{"gateway": {"port": 9, "note": "' + "x" * place.JSON5_LIMIT + '"}}'
    assert found(configure(tmp_path, text)).address == "ws://127.0.0.1:9"
    assert "not valid JSON5" in (found(configure(tmp_path, "// long\n" + text)).problem or "")


def test_a_secret_is_in_no_repr(tmp_path: Path) -> None:
    assert "s3cret" not in repr(found({"OPENCLAW_GATEWAY_TOKEN": "s3cret"}))


def test_ports_and_secrets_in_their_order(tmp_path: Path) -> None:
    config = {"gateway": {"port": 7, "auth": {"token": "configured"}, "remote": {"token": "remote"}}}
    environ = configure(tmp_path, json.dumps(config)) | {
        "OPENCLAW_GATEWAY_PORT": "8",
        "OPENCLAW_GATEWAY_TOKEN": "environment",
    }
    assert found(environ) == ("ws://127.0.0.1:8", ("token", "configured"), None)
    del config["gateway"]["auth"]
    configure(tmp_path, json.dumps(config))
    assert found(environ).secret == ("token", "environment")
    del environ["OPENCLAW_GATEWAY_TOKEN"]
    assert found(environ).secret == ("token", "remote")
    assert found(environ | {"OPENCLAW_GATEWAY_URL": "ws://other:1"}).secret is None


def test_a_gateway_elsewhere(tmp_path: Path) -> None:
    remote = {"url": "wss://gw.example", "token": "theirs"}
    config = {"gateway": {"mode": "remote", "auth": {"token": "ours"}, "remote": remote}}
    assert found(configure(tmp_path, json.dumps(config))) == ("wss://gw.example", ("token", "theirs"), None)


def test_a_password_in_place_of_a_token(tmp_path: Path) -> None:
    auth = {"mode": "password", "password": "pw", "token": "old"}
    assert found(configure(tmp_path, json.dumps({"gateway": {"auth": auth}}))).secret == ("password", "pw")


@pytest.mark.parametrize(
    ("variable", "path"),
    [
        ("OPENCLAW_CONFIG_PATH", "x/other.json"),
        ("OPENCLAW_STATE_DIR", "x/openclaw.json"),
        ("OPENCLAW_HOME", "x/.openclaw/openclaw.json"),
    ],
)
def test_the_configuration_can_be_elsewhere(tmp_path: Path, variable: str, path: str) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text('{"gateway": {"port": 9}}')
    value = tmp_path / (path if variable == "OPENCLAW_CONFIG_PATH" else "x")
    assert found({"HOME": "/nowhere", variable: str(value)}).address == "ws://127.0.0.1:9"


def test_a_token_may_name_a_variable(tmp_path: Path) -> None:
    environ = configure(tmp_path, '{"gateway": {"auth": {"token": "${MY_TOKEN}"}}}')
    assert found(environ | {"MY_TOKEN": "mine"}).secret == ("token", "mine")
    assert found(environ).secret is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"gateway": {"auth": {"token": {"source": "exec", "id": "x"}}}}', "SecretRef"),
        ("{gateway: {", "not valid JSON5"),
        ("[" * 100_000, "not valid JSON5"),
    ],
)
def test_a_token_that_cannot_be_read_is_said_when_it_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    configure(tmp_path / "home", text)
    with gateway() as running:
        monkeypatch.setenv("OPENCLAW_GATEWAY_PORT", str(running.port))
        with pytest.raises(AdapterUnavailable, match=said) as caught:
            openclaw.discover(running.address)
        assert caught.value.hint == "set OPENCLAW_GATEWAY_TOKEN"
        monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", TOKEN)
        assert openclaw.discover(running.address)


def test_the_token_goes_to_no_other_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway() as other, gateway() as ours:
        use(ours, monkeypatch)
        assert list(openclaw.discover(other.address)) == []
        assert list(openclaw.messages(session(other, MAIN), "")) == []
        assert other.asked == []


# What it says


def test_finished_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway() as running:
        found = discovered(running, monkeypatch)
    assert list(found) == [INCIDENT, MAIN]
    one = found[INCIDENT]
    assert (one.title, one.model, one.cwd) == ("incident-42", "mock/ok", None)
    assert one.standing == (Status.STOPPED, Outcome.SUCCEEDED, "the gateway says that its last run is done")
    assert (one.tokens.input, one.tokens.output, one.tokens.cache_read) == (80, 7, None)
    assert one.result.verdict is AgentVerdict.OK
    assert one.created_at == datetime(2026, 11, 22, 6, 22, 1, 67000, UTC)
    assert one.updated_at == datetime(2026, 11, 22, 6, 22, 1, 537000, UTC)


def test_a_running_session_by_its_active_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway(capture=RUNNING) as running:
        found = discovered(running, monkeypatch)
    assert {key: one.standing and one.standing.status for key, one in found.items()} == {
        SLOW: Status.RUNNING,
        INCIDENT: Status.STOPPED,
        MAIN: Status.STOPPED,
    }
    assert found[SLOW].is_open
    assert found[SLOW].tokens == (None, None, None, None)


def test_it_asks_to_read_and_for_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway() as running:
        discovered(running, monkeypatch)
    connect, listed = running.asked
    assert connect["params"]["scopes"] == ["operator.read"]
    assert connect["params"]["auth"] == {"token": TOKEN}
    assert "device" not in connect["params"]
    assert listed["method"] == "sessions.list"


def test_page_after_page(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = answer_in(RUNNING, "sessions.list")["payload"]["sessions"][0]
    with gateway() as running:
        running.page = 2
        running.rows = [{**sample, "sessionId": f"s{number}"} for number in range(5)]
        assert list(discovered(running, monkeypatch)) == ["s0", "s1", "s2", "s3", "s4"]
        assert running.methods == ["connect", *["sessions.list"] * 3]
        running.rows *= 10
        discovered(running, monkeypatch)
        assert running.methods.count("sessions.list") == 3 + asking.PAGES


DONE = {"sessionId": "s", "updatedAt": 1795328521540, "hasActiveRun": False}


@pytest.mark.parametrize(
    ("row", "status", "outcome"),
    [
        ({"status": "done"}, Status.STOPPED, Outcome.SUCCEEDED),
        ({"status": "done", "hasActiveRun": True}, Status.RUNNING, None),
        ({"status": "failed"}, Status.ERROR, Outcome.FAILED),
        ({"status": "timeout"}, Status.ERROR, Outcome.FAILED),
        ({"status": "killed"}, Status.STOPPED, Outcome.CANCELLED),
        ({"status": "interrupted"}, Status.STOPPED, Outcome.CANCELLED),
        ({"status": "done", "abortedLastRun": True}, Status.STOPPED, Outcome.CANCELLED),
        ({"status": "failed", "abortedLastRun": True}, Status.ERROR, Outcome.FAILED),
        ({"status": "queued"}, Status.STARTING, None),
        ({"status": "running"}, Status.STOPPED, Outcome.LOST),
        ({"status": "running", "hasActiveRun": None}, Status.RUNNING, None),
        ({}, Status.IDLE, None),
        ({"archived": True}, Status.STOPPED, None),
        ({"status": "of a later release"}, Status.IDLE, None),
        ({"status": {}}, Status.IDLE, None),
    ],
)
def test_what_a_row_proves(row: dict[str, Any], status: Status, outcome: Outcome | None) -> None:
    one = rows.native(DONE | row, {}, ADDRESS)
    assert one is not None
    assert one.standing is not None
    assert one.standing[:2] == (status, outcome)
    assert one.standing.reason


@pytest.mark.parametrize("row", [{"status": "done"}, {"hasActiveRun": True}])
def test_what_is_proved_survives_being_kept(row: dict[str, Any]) -> None:
    one = rows.native(DONE | row, {}, ADDRESS)
    assert one is not None
    assert natives._decode(json.loads(json.dumps(natives._encode(one)))) == one


def test_rows_of_any_shape_are_read_or_left_out() -> None:
    assert rows.native({}, {}, ADDRESS) is None
    assert rows.native({"sessionId": "s"}, {}, ADDRESS) is None
    assert rows.native({"sessionId": 1, "key": None, "updatedAt": 1}, {}, ADDRESS) is None
    one = rows.native(
        {"key": "agent:main:x", "updatedAt": 1795328521540, "createdAt": "x", "model": 1, "inputTokens": "9"},
        {"model": "ok", "modelProvider": "mock"},
        ADDRESS,
    )
    assert one is not None
    assert (one.native_id, one.model, one.tokens.input, one.title) == ("agent:main:x", "mock/ok", None, None)
    assert one.created_at == one.updated_at


def test_what_a_session_has_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway() as running:
        use(running, monkeypatch)
        said = [(one.role, one.text) for one in openclaw.messages(session(running, MAIN), "")]
        assert said == [
            ("user", "Hello there, list my files"),
            ("assistant", "Hello from mock; prompt chars=220"),
        ]
        assert list(openclaw.messages(session(running, "unknown"), "")) == []
        assert list(openclaw.messages(session(running, None), "")) == []


def test_without_the_library_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a listing: what a gateway tells without it takes a running session for a finished one."""
    monkeypatch.setitem(sys.modules, "websockets.sync.client", None)
    with gateway(capture=RUNNING) as running:
        use(running, monkeypatch)
        for ask in (lambda: openclaw.discover(running.address), lambda: said_in(running)):
            with pytest.raises(AdapterUnavailable, match="needs the package websockets") as caught:
                list(ask())
            assert caught.value.hint == INSTALL
        assert running.asked == []


def said_in(running: FakeGateway) -> Iterator[Message]:
    return openclaw.messages(session(running, MAIN), "")


# When it does not


def silent(peer: Peer) -> None:
    while True:
        peer.read()  # until the connection's end


def trickle(data: bytes) -> Behaviour:
    """One byte after the other: each comes in time, their end never."""

    def behave(peer: Peer) -> None:
        peer.read()
        pause = time.monotonic()
        for byte in data * 100_000:
            peer.write(bytes([byte]))
            pause += 0.02
            while time.monotonic() < pause:
                peer.connection.settimeout(max(0.001, pause - time.monotonic()))
                try:
                    peer.read()
                except TimeoutError:
                    continue

    return behave


def trickled_frame(peer: Peer) -> None:
    peer.shake_hands()
    peer.write(b"\x81\x7e\xff\xff")  # a text of 65535 bytes follows
    trickle(b"x")(peer)


def mid_frame(peer: Peer) -> None:
    peer.shake_hands()
    peer.challenge()
    peer.receive()
    peer.write(b'\x81\x7e\xff\xff{"type":"re')


def bye(peer: Peer) -> None:
    peer.shake_hands()
    peer.close(1012, f"service restart \x1b[31m{TOKEN}")


def huge(peer: Peer) -> None:
    peer.shake_hands()
    peer.write(b"\x81\x7f" + (25 * 1024 * 1024).to_bytes(8, "big"))
    for _ in range(25):
        peer.write(b" " * 1024 * 1024)


def no_json(peer: Peer) -> None:
    peer.shake_hands()
    peer.protocol.send_text(b"[1, 2")
    peer.flush()
    peer.read()


def talkative(peer: Peer) -> None:
    """Never says what it is asked."""
    peer.shake_hands()
    while True:
        peer.send({"type": "event", "event": "tick"})


def web_page(peer: Peer) -> None:
    peer.read()
    peer.write(http(200, b"<html>"))


def redirect(peer: Peer) -> None:
    peer.read()
    peer.write(http(302, b"", "Location: ws://127.0.0.1:1/"))


BAD: dict[str, tuple[Behaviour, str]] = {
    "silent": (silent, "no answer within 0.5 s"),
    "trickling handshake": (trickle(b"H"), "no answer within 0.5 s"),
    "trickling frame": (trickled_frame, "no answer within 0.5 s"),
    "talkative": (talkative, "no answer within 0.5 s"),
    "closed mid-frame": (mid_frame, "the connection broke off"),
    "closed": (bye, "it closed the connection with code 1012 (service restart"),
    "25 MB": (huge, "it sends more than 8 MB at once"),
    "no JSON": (no_json, "something that is not a JSON object"),
    "a web page": (web_page, "no WebSocket answers there"),
    "a redirect": (redirect, "no WebSocket answers there"),
    "another protocol": (refusing(mismatch(5), 1002), "it speaks protocol 5, this adapter 4"),
    "starting for long": (refusing(STARTING, 1013), "is still starting"),
    "not paired": (
        refusing({"code": "NOT_PAIRED", "message": "device identity required"}, 1008),
        "device identity required",
    ),
    "no words": (refusing({}, 1008), "no reason given"),
}


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize(("behaviour", "said"), BAD.values(), ids=BAD.keys())
def test_a_gateway_that_misbehaves_is_one_clause_in_time(
    behaviour: Behaviour, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gateway(behaviour) as running:
        use(running, monkeypatch)
        start = time.monotonic()
        with pytest.raises(AdapterUnavailable) as caught:
            openclaw.discover(running.address)
        assert time.monotonic() - start < AT_MOST
    text = f"{caught.value.message} {caught.value.hint}"
    assert said in text
    assert running.address in text
    assert TOKEN not in text
    assert text.isprintable()


def test_one_that_is_starting_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway(refusing(STARTING, 1013), None) as running:
        assert list(discovered(running, monkeypatch)) == [INCIDENT, MAIN]


def test_a_wrong_token_is_refused_in_the_gateways_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with gateway() as running:
        use(running, monkeypatch)
        monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", "wrong-token")
        with pytest.raises(AdapterUnavailable, match="unauthorized: gateway token mismatch") as caught:
            openclaw.discover(running.address)
    assert "OPENCLAW_GATEWAY_TOKEN" in (caught.value.hint or "")
    assert "wrong-token" not in caught.value.message


def test_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCLAW_GATEWAY_URL", f"ws://127.0.0.1:{free_port()}")
    with pytest.raises(AdapterUnavailable, match="refused"):
        openclaw.discover(openclaw.store_path(os.environ) or "")


@pytest.mark.usefixtures("hurry")
def test_a_look_up_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The system's look-up has no limit of its own: a name server that is silent for a minute."""
    with gateway() as running:
        answer = running.stopping

        def slow(*asked: object, **named: object) -> list[Any]:
            answer.wait(60)
            return []

        monkeypatch.setattr(socket, "getaddrinfo", slow)
        monkeypatch.setenv("OPENCLAW_GATEWAY_URL", "ws://gateway.invalid:1")
        start = time.monotonic()
        with pytest.raises(AdapterUnavailable, match=r"no answer within 0\.5 s"):
            openclaw.discover("ws://gateway.invalid:1")
        assert time.monotonic() - start < AT_MOST


def test_it_launches_nothing() -> None:
    with pytest.raises(AdapterUnavailable, match="read-only"):
        openclaw.launch_command(CommandRequest(session_id="x", cwd="/", prompt="x"))


# Through the command line


def test_it_is_listed_beside_the_others(run: Run) -> None:
    with gateway(capture=RUNNING) as running:
        live = run("list --json", env=running.environ)
        (one,) = live.json()["sessions"]
        assert live.stderr == ""
        assert (one["adapter"], one["source"], one["status"]) == ("openclaw", "external", "running")
        assert (one["native_id"], one["pid"], one["prompt"]) == (SLOW, None, "slowrun")
        assert one["reason"] == "the gateway is running it"
        assert one["ended_at"] is None

        every = run("list -a --since 2026-01-01 --json", env=running.environ).json()["sessions"]
        assert [each["native_id"] for each in every] == [SLOW, INCIDENT, MAIN]
        assert "slowrun" in run("list", env=running.environ).stdout
        assert TOKEN not in json.dumps(every)

        (shown,) = run(f"status --json {one['id']}", env=running.environ).json()["sessions"]
        assert (shown["id"], shown["status"]) == (one["id"], "running")
        assert run(f"status {SLOW[:8]}", env=running.environ).exit == 0


def test_what_cannot_be_done_with_it_is_said(run: Run) -> None:
    with gateway(capture=RUNNING) as running:
        stopped = run(f"stop {SLOW}", exit=11, env=running.environ)
        assert "the gateway is running it" in stopped.stderr
        assert "end it where it was started" in stopped.stderr
        assert "still running" in run(["resume", SLOW, "go on"], exit=11, env=running.environ).stderr
        assert "cannot resume" in run(["resume", MAIN, "go on"], exit=12, env=running.environ).stderr
        assert "not launched by agentctl" in run(f"rerun {MAIN}", exit=2, env=running.environ).stderr
        assert "read-only" in run("launch openclaw -p hi", exit=12, env=running.environ).stderr
    with gateway() as running:
        assert run(f"peek {MAIN}", env=running.environ).stdout == "Hello from mock; prompt chars=220\n"


@pytest.mark.parametrize("behaviour", [trickled_frame, mid_frame])
def test_a_listing_goes_on_without_it(behaviour: Behaviour, run_real: RunReal) -> None:
    run_real("list")  # make the state first
    with gateway(behaviour) as running:
        start = time.monotonic()
        listed = run_real("list --json", env=running.environ)
        assert time.monotonic() - start < asking.BUDGET + AT_MOST
    assert listed.json()["sessions"] == []
    assert running.address in listed.stderr
    assert TOKEN not in listed.stderr
    assert "Traceback" not in listed.stderr


def test_nothing_of_the_token_is_kept(run: Run, sealed_home: Path) -> None:
    with gateway(capture=RUNNING) as running:
        run("list", env=running.environ)
    kept = [path for path in sealed_home.rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if TOKEN.encode() in path.read_bytes()]
