"""OpenClaw: where the gateway is, and its secret."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from agentctl.adapters import openclaw
from agentctl.adapters.openclaw import place
from agentctl.errors import AdapterUnavailable
from tests.adapters.openclaw_runs import (
    ADDRESS,
    INSTALL,
    MAIN,
    session,
    use,
)
from tests.adapters.openclaw_runs import no_real_gateway as no_real_gateway
from tests.fake_gateway import (
    TOKEN,
    gateway,
)


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
        ({"OPENCLAW_WEBHOOK_TOKEN": "t"}, ADDRESS),
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
