"""What every adapter owes, whichever agent it describes. New ones are found by themselves."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentctl.adapters import registry
from agentctl.adapters.base import Adapter, Capability, Command, CommandRequest, Message, no_native_id
from agentctl.core.model import AgentVerdict, Listing, Result, Rung, Session, Status
from agentctl.errors import AdapterUnavailable, NotFound, UsageFault

DATA = Path(__file__).parent.parent / "data"
ROLES = {"user", "assistant", "tool", "error", "log"}
SESSION_ID = "0f9a1b2c-0000-4000-8000-000000000000"
NATIVE_ID = "ses_0000000000000000000000000a"
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MODEL = "provider/some-model"
ARGUMENT_LIMIT = 131_071
"""Bytes that Linux lets one argument hold."""

BY_FILE = {"pi-rust"}
"""Programs that are told a conversation by its file alone: without one there is nothing to go on with."""

COMMANDS = {"exec": ("make", "check"), "acp": ("some-agent", "--acp")}
"""Adapters that have to be told a command after `--`."""

LED = {"acp"}
"""Adapters whose own runner starts the agent's command, which comes after its `--`."""

PROMPTS = {
    "plain": "Make the tests pass",
    "dash": "--model evil -p",
    "double dash": "--",
    "quotes": 'it\'s "quoted" $(touch /tmp/x) `id` \\',
    "newlines": "\nfirst\r\n\r\nlast\n",
    "control": "\x1b[31mred\x1b[0m \x07 \x9b2J",
    "unicode": "naïve 🙂 \u202e \u2028 \udce4",
    "long": "0123456789abcdef" * 65536,  # 1 MiB: eight times what one argument may hold
}


def having(capability: Capability) -> pytest.MarkDecorator:
    """Run the test with the adapters that have this capability, and no other."""
    names = [name for name in registry.ADAPTERS if can(registry.load(name), capability)]
    return pytest.mark.parametrize("adapter", [registry.load(name) for name in names], ids=names)


def can(adapter: Adapter, capability: Capability) -> bool:
    return capability in adapter.CAPABILITIES


@pytest.fixture(params=list(registry.ADAPTERS))
def adapter(request: pytest.FixtureRequest) -> Adapter:
    return registry.load(request.param)


def launch_request(adapter: Adapter, **changes: object) -> CommandRequest:
    """A request that this adapter can serve; an adapter that takes commands gets one."""
    takes_prompt = Capability.PROMPT in adapter.CAPABILITIES
    given: dict[str, object] = {
        "session_id": SESSION_ID,
        "cwd": "/srv/project",
        "prompt": "Say hello" if takes_prompt else None,
        "args": COMMANDS.get(adapter.NAME, ()),
        "environ": {"HOME": "/home/u", "PATH": "/usr/bin"},
    }
    return CommandRequest(**(given | changes))  # type: ignore[arg-type]


def row(adapter: Adapter, store_path: str | None, **changes: object) -> Session:
    """A session of this adapter, whose native id no store holds."""
    given: dict[str, object] = {
        "id": SESSION_ID,
        "adapter": adapter.NAME,
        "cwd": "/srv/project",
        "status": Status.RUNNING,
        "created_at": NOW,
        "native_id": NATIVE_ID,
        "store_path": store_path,
    }
    return Session(**(given | changes))  # type: ignore[arg-type]


def is_sound(argv: tuple[str, ...]) -> bool:
    return bool(argv) and bool(argv[0]) and all(type(word) is str and "\0" not in word for word in argv)


def test_it_tells_who_it_is(adapter: Adapter) -> None:
    name = next(name for name in registry.ADAPTERS if registry.load(name) is adapter)
    assert name == adapter.NAME
    assert adapter.SUMMARY.strip() == adapter.SUMMARY
    assert adapter.SUMMARY.endswith(".")
    assert "\n" not in adapter.SUMMARY
    assert adapter.VERIFIED
    assert (adapter.PROGRAM is None) == (adapter.INSTALL is None), "a program comes with how to install it"
    assert type(adapter.CAPABILITIES) is frozenset
    assert all(type(one) is Capability for one in adapter.CAPABILITIES)
    assert type(adapter.PROCESS_NAMES) is frozenset


def test_everything_that_the_protocol_names_is_there(adapter: Adapter) -> None:
    members = {name for name in vars(Adapter) if not name.startswith("_")}
    assert len(members) > 15
    assert members <= set(dir(adapter))
    verbs = {name for name in members if name.islower()}
    assert [name for name in sorted(verbs) if not callable(getattr(adapter, name))] == []


def test_its_ladder_ends_with_kill(adapter: Adapter) -> None:
    assert adapter.LADDER
    assert all(type(rung) is Rung and rung.wait.total_seconds() > 0 for rung in adapter.LADDER)
    assert adapter.LADDER[-1].signal == 9


def test_only_what_can_launch_takes_prompts_models_and_messages(adapter: Adapter) -> None:
    needing = {Capability.PROMPT, Capability.MODEL, Capability.RESUME}
    assert can(adapter, Capability.LAUNCH) or not needing & adapter.CAPABILITIES


def test_the_registry_names_those_that_discover() -> None:
    discovering = {name for name in registry.ADAPTERS if can(registry.load(name), Capability.DISCOVER)}
    assert set(registry.DISCOVERING) == discovering


@having(Capability.LAUNCH)
def test_a_launch_is_words_without_nul(adapter: Adapter) -> None:
    command = adapter.launch_command(launch_request(adapter))
    assert type(command.argv) is tuple
    assert is_sound(command.argv)
    assert all(type(name) is str and "=" not in name for name in command.env)
    assert all(value is None or "\0" not in value for value in command.env.values())


@having(Capability.LAUNCH)
@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS.keys())
def test_a_prompt_is_handed_over_as_it_is(adapter: Adapter, prompt: str) -> None:
    """On standard input; by a program that reads none, as one word that cannot be taken for an option."""
    without = adapter.launch_command(launch_request(adapter))
    asked = launch_request(adapter, prompt=prompt)
    if is_prompt_a_word(adapter) and len(prompt) > ARGUMENT_LIMIT:
        with pytest.raises(UsageFault) as caught:
            adapter.launch_command(asked)
        assert caught.value.hint
        return
    command = adapter.launch_command(asked)
    assert command.env == without.env
    if is_prompt_a_word(adapter):
        assert_one_word_changed(without, command, "Say hello", prompt)
    else:
        assert command.stdin == prompt
        assert command.argv == without.argv


@having(Capability.LAUNCH)
def test_a_prompt_with_nul_is_no_word(adapter: Adapter) -> None:
    asked = launch_request(adapter, prompt="zero \0 byte")
    if is_prompt_a_word(adapter):
        with pytest.raises(UsageFault):
            adapter.launch_command(asked)
        return
    assert is_sound(adapter.launch_command(asked).argv)


def is_prompt_a_word(adapter: Adapter) -> bool:
    """Whether the program cannot be given a prompt on standard input."""
    return can(adapter, Capability.PROMPT) and adapter.launch_command(launch_request(adapter)).stdin is None


def assert_one_word_changed(without: Command, command: Command, before: str, after: str) -> None:
    changed = [
        (index, *words)
        for index, words in enumerate(zip(without.argv, command.argv, strict=True))
        if words[0] != words[1]
    ]
    assert [words for _, *words in changed] == [[before, after]]
    (index, *_) = changed[0]
    assert command.argv[index - 1].startswith("-"), "behind -- or as an option's value"
    assert command.stdin is None


@having(Capability.PROMPT)
@pytest.mark.parametrize("prompt", [None, "", " \n\t "])
def test_a_prompt_is_asked_for(adapter: Adapter, prompt: str | None) -> None:
    with pytest.raises(UsageFault) as caught:
        adapter.launch_command(launch_request(adapter, prompt=prompt))
    assert caught.value.hint


@having(Capability.LAUNCH)
def test_a_model_is_passed_on_or_refused(adapter: Adapter) -> None:
    asked = launch_request(adapter, model=MODEL)
    if can(adapter, Capability.MODEL):
        command = adapter.launch_command(asked)
        told = [*command.argv, *(value or "" for value in command.env.values())]
        # Whole, or as the words for provider and model.
        assert any(MODEL in word for word in told) or set(MODEL.split("/")) <= set(command.argv)
        return
    with pytest.raises(UsageFault, match="model"):
        adapter.launch_command(asked)


@having(Capability.LAUNCH)
def test_a_configured_program_takes_the_place_of_its_own(adapter: Adapter) -> None:
    command = adapter.launch_command(launch_request(adapter, program=("/opt/wrapper", "--quiet")))
    words = command.argv[command.argv.index("--") + 1 :] if adapter.NAME in LED else command.argv
    assert words[:2] == ("/opt/wrapper", "--quiet")


@having(Capability.LAUNCH)
def test_a_launch_is_decided_by_the_request_alone(adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    before = adapter.launch_command(launch_request(adapter))
    for name in ("HOME", "PATH", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, "/elsewhere")
    assert adapter.launch_command(launch_request(adapter)) == before


def test_a_resume_goes_on_or_is_refused_by_name(adapter: Adapter, tmp_path: Path) -> None:
    session = row(adapter, str(tmp_path))
    again = launch_request(adapter, prompt="--go on")
    if not can(adapter, Capability.RESUME):
        with pytest.raises(AdapterUnavailable, match=adapter.NAME):
            adapter.resume_command(session, again)
        return
    if adapter.NAME in BY_FILE:
        with pytest.raises(NotFound) as caught:
            adapter.resume_command(session, again)
        assert caught.value.hint
        return
    command = adapter.resume_command(session, again)
    assert is_sound(command.argv)
    assert "--go on" in (command.argv if is_prompt_a_word(adapter) else [command.stdin])
    assert NATIVE_ID in command.argv
    assert command.native_id == NATIVE_ID


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


def test_odd_logs_are_read_without_raising(adapter: Adapter, odd_log: str) -> None:
    for session in (
        row(adapter, None),
        row(adapter, None, native_id=None, status=Status.STOPPED, exit_code=0),
    ):
        result = adapter.result(session, odd_log)
        assert_result(result)
        assert type(adapter.native_id(session, odd_log)) in (str, type(None))
        for message in adapter.messages(session, odd_log):
            assert_message(message)
        assert adapter.is_transient(1, odd_log) is False


def test_odd_lines_are_shown_without_raising(adapter: Adapter, odd_log: str) -> None:
    path = Path(odd_log)
    lines = path.read_bytes().decode("utf-8", "replace").split("\n") if path.is_file() else []
    for message in adapter.log_messages(lines):
        assert_message(message)


def test_odd_files_in_place_of_the_store_are_read_without_raising(adapter: Adapter, odd_log: str) -> None:
    session = row(adapter, odd_log)
    assert type(adapter.listing(session)) is Listing
    assert_result(adapter.result(session, odd_log + ".none"))
    assert list(adapter.messages(session, odd_log + ".none")) == []
    assert list(adapter.discover(odd_log)) == []


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
    assert message.role in ROLES
    assert type(message.text) is str
    assert message.at is None or message.at.tzinfo is not None


def test_what_nobody_said_is_none(adapter: Adapter, tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    log.touch()
    session = row(adapter, None, native_id=None)
    result = adapter.result(session, str(log))
    assert result == Result(verdict=result.verdict, text=result.text)
    assert result.verdict is AgentVerdict.SILENT, "a running session without output has said nothing"
    assert adapter.native_id(session, str(log)) is None
    assert list(adapter.messages(session, str(log))) == []


def test_the_prompt_alone_is_no_word_of_the_agent(adapter: Adapter, tmp_path: Path) -> None:
    session = row(adapter, None, native_id=None, prompt="Say hello")
    said = adapter.messages(session, str(tmp_path / "none"))
    assert {message.role for message in said} <= {"user"}


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


def test_the_registry_names_those_without_ids() -> None:
    nameless = {name for name in registry.ADAPTERS if registry.load(name).native_id is no_native_id}
    assert {name for name in nameless if can(registry.load(name), Capability.LAUNCH)} == registry.NAMELESS


def test_a_missing_store_has_no_sessions(adapter: Adapter, tmp_path: Path) -> None:
    for store_path in (tmp_path / "nowhere", tmp_path):
        sources = [*adapter.sources(str(store_path)), str(store_path)]
        assert [native for source in sources for native in adapter.discover(source)] == []


def test_its_options_are_named_and_explained(adapter: Adapter) -> None:
    for option in adapter.OPTIONS:
        assert option.name.replace("_", "").isalnum()
        assert option.name not in ("command", "model", "args")
        assert option.help.endswith(".")
        assert option.kind in (str, bool, list, dict)
        assert all(type(choice) is str for choice in option.choices)


def test_nothing_matches_nothing(adapter: Adapter) -> None:
    assert dict(adapter.match([], [])) == {}


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


def test_plain_text_in_a_log_is_shown(adapter: Adapter) -> None:
    """Whatever a program prints besides its records (a crash, a complaint) reaches the reader."""
    shown = [message.text for message in adapter.log_messages(["Segmentation fault", "{not json"])]
    assert shown == ["Segmentation fault", "{not json"]


@having(Capability.RESUME)
def test_recorded_logs_are_read(adapter: Adapter) -> None:
    """Recorded samples say something; the adapter's own tests say what."""
    samples = sorted(path for path in (DATA / adapter.NAME).glob("logs/**/*") if path.is_file())
    assert samples, f"tests/data/{adapter.NAME}/logs has no recorded samples"
    session = row(adapter, None, native_id=None, status=Status.STOPPED, exit_code=0)
    shown: list[Message] = []
    for sample in samples:
        assert_result(adapter.result(session, str(sample)))
        shown += adapter.log_messages(sample.read_text(errors="replace").split("\n"))
    for message in shown:
        assert_message(message)
    assert {"assistant", "error"} <= {message.role for message in shown}
