"""Who acted, in the ledger: the command, whichever name of it was typed and whoever built the runtime."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import agentctl.commands
from agentctl.cli import ALIASES, COMMANDS, root
from agentctl.commands._options import runtime_of
from agentctl.runtime import Runtime
from tests.conftest import Run

COMMANDS_FOLDER = Path(agentctl.commands.__file__).parent


def leaves(typed: str) -> Iterator[tuple[str, click.Context]]:
    """The words on the command line and the context that they make, for each command below `typed`."""
    top = click.Context(root, info_name="agentctl")
    command = root.get_command(top, typed)
    assert command is not None
    context = click.Context(command, info_name=typed, parent=top)
    if not isinstance(command, click.Group):
        yield typed, context
        return
    for name, child in command.commands.items():
        yield f"{typed} {name}", click.Context(child, info_name=name, parent=context)


def actor(context: click.Context, runtime: Runtime | None) -> str:
    root_context = context.find_root()
    root_context.obj = runtime
    with root_context:
        return runtime_of(context).actor


@pytest.mark.parametrize("is_given", [True, False])
def test_the_actor_is_the_command(is_given: bool) -> None:
    for name in COMMANDS:
        for words, context in leaves(name):
            given = Runtime.from_environment(actor="somebody") if is_given else None
            assert actor(context, given) == words


def test_another_name_of_a_command_is_the_same_actor() -> None:
    for alias, (_, meant) in ALIASES.items():
        for _, context in leaves(alias):
            assert actor(context, None) == meant


def test_only_what_no_person_calls_names_itself() -> None:
    by_hand = [path.stem for path in COMMANDS_FOLDER.glob("*.py") if ".actor, " in path.read_text()]
    by_hand += [path.stem for path in COMMANDS_FOLDER.glob("*.py") if ".actor =" in path.read_text()]
    assert set(by_hand) == {"_options", "internal"}


def test_events_name_the_command_with_a_given_runtime(run: Run, tmp_path: Path) -> None:
    for line in (f"lock {tmp_path}", f"fuse set {tmp_path} --for 1h", f"fuse cancel {tmp_path}"):
        runtime = Runtime.from_environment(actor="somebody")
        run(line, obj=runtime)
        runtime.close()
    events = [json.loads(line) for line in run("events --json").lines]
    assert [event["actor"] for event in events] == ["lock", "fuse set", "fuse cancel"]
