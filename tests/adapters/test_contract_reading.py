"""How every adapter reads logs and stores, whatever is in them.

A test of a verb runs with the adapters that have the verb themselves; the defaults are tested once.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from agentctl.adapters import registry
from agentctl.adapters.acp.agents import KnownAgent
from agentctl.adapters.base import Adapter, Capability, Message, Role
from agentctl.core.model import AgentVerdict, Listing, Result, Status
from agentctl.errors import AdapterUnavailable
from tests.adapters.contract import (
    DATA,
    can,
    discovered,
    having,
    having_own,
    launch_request,
    own,
    row,
)


def random_bytes(path: Path) -> None:
    path.write_bytes(random.Random(7).randbytes(200_000))


def random_json(path: Path) -> None:
    """Objects with the right keys and wrong values."""
    dice = random.Random(11)
    # fmt: off
    values = ["null", "true", "-1", "1e999", '""', '"x"', "[]", "{}", "[[1]]", '{"type":{}}', '{"a":[null]}']
    keys = ["type", "part", "error", "message", "result", "usage", "tokens", "at", "timestamp", "sessionID",
            "session_id", "content", "text", "name", "state", "model", "cost_usd", "turns", "input", "output"]
    kinds = ["start", "text", "error", "usage", "tool", "tool_use", "step_finish", "result", "assistant"]
    # fmt: on
    with path.open("w") as file:
        for number in range(3000):
            pairs = [f'"{dice.choice(keys)}": {dice.choice(values)}' for _ in range(dice.randrange(8))]
            if number % 2:
                pairs.append(f'"type": "{dice.choice(kinds)}"')
            file.write("{" + ", ".join(pairs) + "}\n")


def directory(path: Path) -> None:
    path.mkdir()
    (path / "inside").write_text("x")


LOGS: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "newlines": lambda path: path.write_bytes(b"\n\n\r\n"),
    "random bytes": random_bytes,
    "half a record": lambda path: path.write_text('{"type": "text", "part": {"te'),
    "a record, then half of one": lambda path: path.write_text('{"type": "x"}\n{"type": "tex'),
    "no object": lambda path: path.write_text('[1]\n"text"\nnull\n1\nNaN\n'),
    "deep": lambda path: path.write_text('{"type":' * 100_000),
    "wrong values": random_json,
    "a huge number": lambda path: path.write_text('{"type": "usage", "input": ' + "9" * 5000 + "}\n"),
    "a large number": lambda path: path.write_text('{"type": "usage", "input": ' + "9" * 400 + "}\n"),
    "no column's number": lambda path: path.write_text('{"type": "usage", "input": ' + "9" * 20 + "}\n"),
    "one long line": lambda path: path.write_bytes(b'{"type": "text", "text": "' + b"x" * 5_000_000 + b'"}'),
    "a directory": directory,
    "a pipe that nobody writes to": os.mkfifo,
}


@pytest.fixture(params=list(LOGS))
def odd_log(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    path = tmp_path / "output.log"
    LOGS[request.param](path)
    return str(path)


READERS = ("result", "native_id", "messages", "is_transient")


@having_own(*READERS)
def test_odd_logs_are_read_without_raising(adapter: Adapter, odd_log: str) -> None:
    read(adapter, odd_log, own(adapter, *READERS))


def read(adapter: Adapter, log: str, verbs: Sequence[str]) -> None:
    for session in (
        row(adapter, None),
        row(adapter, None, native_id=None, status=Status.STOPPED, exit_code=0),
    ):
        if "result" in verbs:
            assert_result(adapter.result(session, log))
        if "native_id" in verbs:
            assert type(adapter.native_id(session, log)) in (str, type(None))
        if "messages" in verbs:
            for message in adapter.messages(session, log):
                assert_message(message)
    if "is_transient" in verbs:
        assert adapter.is_transient(1, log) is False


@having_own("log_messages")
def test_odd_lines_are_shown_without_raising(adapter: Adapter, odd_log: str) -> None:
    path = Path(odd_log)
    lines = path.read_bytes().decode("utf-8", "replace").split("\n") if path.is_file() else []
    for message in adapter.log_messages(lines):
        assert_message(message)


@having_own("listing", "discover")
def test_odd_files_in_place_of_the_store_are_read_without_raising(adapter: Adapter, odd_log: str) -> None:
    session = row(adapter, odd_log)
    assert type(adapter.listing(session)) is Listing
    assert_result(adapter.result(session, odd_log + ".none"))
    assert list(adapter.messages(session, odd_log + ".none")) == []
    assert discovered(adapter, odd_log) == []


def assert_result(result: Result) -> None:
    assert type(result) is Result
    assert type(result.verdict) is AgentVerdict
    for text in (result.text, result.native_id, result.model, result.transcript_path, result.adapter_version):
        assert type(text) in (str, type(None))
    for count in (result.turns, *result.tokens):
        assert type(count) in (int, type(None))
        assert count is None or abs(count) < 2**63, "no database column holds it"
    assert type(result.cost_usd) in (float, int, type(None))
    assert all(type(note) is str for note in result.notes)


def assert_message(message: Message) -> None:
    assert type(message.role) is Role
    assert type(message.text) is str
    assert message.at is None or message.at.tzinfo is not None


@having_own(*READERS)
def test_what_nobody_said_is_none(adapter: Adapter, tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    log.touch()
    session = row(adapter, None, native_id=None)
    result = adapter.result(session, str(log))
    assert result == Result(verdict=result.verdict, text=result.text)
    assert result.verdict is AgentVerdict.SILENT, "a running session without output has said nothing"
    assert adapter.native_id(session, str(log)) is None
    assert list(adapter.messages(session, str(log))) == []


@having_own("messages")
def test_the_prompt_alone_is_no_word_of_the_agent(adapter: Adapter, tmp_path: Path) -> None:
    session = row(adapter, None, native_id=None, prompt="Say hello")
    said = adapter.messages(session, str(tmp_path / "none"))
    assert {message.role for message in said} <= {Role.USER}


@having_own("listing")
def test_without_a_store_the_listing_is_unavailable(adapter: Adapter, tmp_path: Path) -> None:
    for store_path in (None, str(tmp_path / "nowhere" / "store")):
        assert adapter.listing(row(adapter, store_path)) is Listing.UNAVAILABLE
    assert adapter.listing(row(adapter, None, native_id=None)) is Listing.UNAVAILABLE


@having(Capability.DISCOVER)
def test_a_store_belongs_to_its_home(adapter: Adapter, tmp_path: Path) -> None:
    home = tmp_path / "fresh"
    store_path = adapter.store_path({"HOME": str(home)})
    if can(adapter, Capability.REMOTE):
        assert store_path is None, "nobody is asked where nothing is configured"
        return
    assert store_path is not None
    assert Path(store_path).is_relative_to(home)
    assert [native for source in adapter.sources(store_path) for native in adapter.discover(source)] == []
    assert not home.exists(), "looking for a store must not create one"


@having(Capability.DISCOVER)
def test_a_missing_store_has_no_sessions(adapter: Adapter, tmp_path: Path) -> None:
    for store_path in (tmp_path / "nowhere", tmp_path):
        sources = [*adapter.sources(str(store_path)), str(store_path)]
        assert [native for source in sources for native in discovered(adapter, source)] == []


@having_own("match")
def test_nothing_matches_nothing(adapter: Adapter) -> None:
    assert dict(adapter.match([], [])) == {}


@having_own("log_messages")
def test_log_lines_stream(adapter: Adapter) -> None:
    """`logs -f` shows a line when it comes: an adapter must not wait for the end."""
    asked = 0

    def endless() -> Iterator[str]:
        nonlocal asked
        while True:
            asked += 1
            yield f"plain text {asked}"

    shown = adapter.log_messages(endless())
    assert next(shown).text == "plain text 1"
    assert asked <= 2


@having_own("log_messages")
def test_plain_text_in_a_log_is_shown(adapter: Adapter) -> None:
    """Whatever a program prints besides its records (a crash, a complaint) reaches the reader."""
    shown = [message.text for message in adapter.log_messages(["Segmentation fault", "{not json"])]
    assert shown == ["Segmentation fault", "{not json"]


@having(Capability.RESUME)
def test_recorded_logs_are_read(adapter: Adapter) -> None:
    """Recorded samples say something; the adapter's own tests say what."""
    # The ACP agents that have a name of their own are led by the same runner, which writes the log.
    name = "acp" if isinstance(adapter, KnownAgent) else adapter.NAME
    samples = sorted(path for path in (DATA / name).glob("logs/**/*") if path.is_file())
    assert samples, f"tests/data/{name}/logs has no recorded samples"
    session = row(adapter, None, native_id=None, status=Status.STOPPED, exit_code=0)
    shown: list[Message] = []
    for sample in samples:
        assert_result(adapter.result(session, str(sample)))
        shown += adapter.log_messages(sample.read_text(errors="replace").split("\n"))
    for message in shown:
        assert_message(message)
    assert {Role.ASSISTANT, Role.ERROR} <= {message.role for message in shown}


def test_the_defaults_keep_the_contract(tmp_path: Path) -> None:
    """Of an adapter that takes as many verbs from `base` as it can."""
    adapter = registry.load("exec")
    members = [name for name in vars(Adapter) if name.islower() and not name.startswith("_")]
    assert own(adapter, *members) == ["launch_command"]
    log = tmp_path / "output.log"
    log.write_text("Segmentation fault\n{not json\n")
    read(adapter, str(log), READERS)
    session = row(adapter, str(tmp_path))
    with pytest.raises(AdapterUnavailable, match="exec") as caught:
        adapter.resume_command(session, launch_request(adapter))
    assert session.id[:8] in (caught.value.hint or "")
    shown = list(adapter.log_messages(log.read_text().splitlines()))
    assert [(one.role, one.text) for one in shown] == [
        (Role.LOG, "Segmentation fault"),
        (Role.LOG, "{not json"),
    ]
    assert adapter.store_path({"HOME": str(tmp_path)}) is None
    assert adapter.listing(session) is Listing.UNAVAILABLE
    assert list(adapter.sources(str(tmp_path))) == []
    assert list(adapter.discover(str(log))) == []
    assert dict(adapter.match([], [])) == {}
