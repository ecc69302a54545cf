"""OpenClaw: a gateway that answers late, wrongly or not at all."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from agentctl.adapters import openclaw
from agentctl.adapters.openclaw import gateway as asking
from agentctl.errors import AdapterUnavailable
from tests.adapters.openclaw_runs import (
    AT_MOST,
    INCIDENT,
    MAIN,
    discovered,
    use,
)
from tests.adapters.openclaw_runs import no_real_gateway as no_real_gateway
from tests.conftest import RunReal
from tests.e2e.receiver import free_port
from tests.fake_gateway import (
    STARTING,
    TOKEN,
    Behaviour,
    Peer,
    gateway,
    http,
    mismatch,
    refusing,
)


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of the time for gateways that use it up."""
    monkeypatch.setattr(asking, "BUDGET", 0.5)


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
