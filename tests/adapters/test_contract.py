"""What every adapter must do, whichever agent it describes. New ones are found automatically."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentctl.adapters import base, registry
from agentctl.adapters.base import Adapter, Capability, Command
from agentctl.core.model import Rung
from agentctl.errors import NotFound, UsageFault
from tests.adapters.contract import (
    NATIVE_ID,
    can,
    having,
    launch_request,
    own,
    row,
)

MODEL = "provider/some-model"


ARGUMENT_LIMIT = 131_071
"""Bytes that Linux lets one argument hold."""


BY_FILE = {"pi-rust"}
"""Programs that are told a conversation by its file alone: without one there is nothing to go on with."""


LED = {"acp", *registry.ACP_AGENTS}
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


@pytest.fixture(params=list(registry.ADAPTERS))
def adapter(request: pytest.FixtureRequest) -> Adapter:
    return registry.load(request.param)


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


def test_what_cannot_resume_has_no_verb_for_it() -> None:
    resuming = {name for name in registry.ADAPTERS if own(registry.load(name), "resume_command")}
    assert resuming == {name for name in registry.ADAPTERS if can(registry.load(name), Capability.RESUME)}


@having(Capability.RESUME)
def test_a_resume_continues_the_conversation(adapter: Adapter, tmp_path: Path) -> None:
    session = row(adapter, str(tmp_path))
    again = launch_request(adapter, prompt="--go on")
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


def test_the_registry_names_those_without_ids() -> None:
    nameless = {name for name in registry.ADAPTERS if registry.load(name).native_id is base.no_native_id}
    assert {name for name in nameless if can(registry.load(name), Capability.LAUNCH)} == registry.NAMELESS


def test_its_options_are_named_and_explained(adapter: Adapter) -> None:
    for option in adapter.OPTIONS:
        assert option.name.replace("_", "").isalnum()
        assert option.name not in ("command", "model", "args")
        assert option.help.endswith(".")
        assert option.kind in (str, bool, list, dict)
        assert all(type(choice) is str for choice in option.choices)
