"""Documentation and tree agree, both ways: nothing undocumented, nothing documented that is gone."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from agentctl import manpages
from agentctl.cli import ALIASES, COMMANDS, root
from agentctl.core import variables
from agentctl.core.settings import ADAPTER_SCHEMA, SCHEMA, Key
from agentctl.errors import AgentctlError
from agentctl.manpages import parse_help

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
SOURCES = [*(ROOT / "agentctl").rglob("*.py"), *(ROOT / "agentctl").rglob("*.sh")]

OPTION = re.compile(r"(?<![\w-])--?[a-zA-Z][\w-]*")


def walk(context: click.Context) -> Iterator[click.Context]:
    """A context for the command and for each visible one below it."""
    yield context
    command = context.command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            if not child.hidden:
                yield from walk(click.Context(child, info_name=name, parent=context))


def everything() -> list[click.Context]:
    return list(walk(click.Context(root, info_name="agentctl", **root.context_settings)))


def resolve(words: list[str]) -> tuple[click.Context, list[str]]:
    """The command that these words run, and the words after its name."""
    context = click.Context(root, info_name="agentctl", **root.context_settings)
    while words and isinstance(context.command, click.Group) and not words[0].startswith("-"):
        child = context.command.get_command(context, words[0])
        assert child is not None, f"no such command: {context.command_path} {words[0]}"
        context = click.Context(child, info_name=words[0], parent=context)
        words = words[1:]
    return context, words


def option_names(context: click.Context) -> set[str]:
    names = {"--help", "-h", "--version"}
    for param in context.command.params:
        names |= {*param.opts, *param.secondary_opts}
    return names


def command_lines(text: str) -> Iterator[list[str]]:
    """Each `agentctl …` of a shell text or of inline code, as words up to the end of the command."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        for match in re.finditer(
            r"(?<![\w./-])agentctl((?: +(?:'[^']*'|\"[^\"]*\"|[^\s`|;&()<>#'\"]+))+)", line
        ):
            try:
                words = shlex.split(match[1])
            except ValueError:
                words = match[1].split()
            yield words[: words.index("--")] if "--" in words else words


def check_line(words: list[str]) -> None:
    """The command exists and has these options. Words in capitals or brackets stand for something."""
    if re.fullmatch(r"[A-Z]+|[<\[{$].*|…", words[0]):
        return
    context, rest = resolve(words)
    known = option_names(context)
    unknown = [
        word for word in rest if OPTION.fullmatch(word.split("=")[0]) and word.split("=")[0] not in known
    ]
    assert not unknown, f"{context.command_path} has no {unknown}: {words}"


def code_of(markdown: str) -> str:
    """Fenced blocks and inline code, where a command is meant and not the program's name."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", markdown, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```", "", markdown, flags=re.MULTILINE | re.DOTALL)
    return "\n".join([*fenced, *re.findall(r"`([^`\n]+)`", rest)])


def test_the_readme_names_every_command() -> None:
    code = code_of(README.read_text())
    missing = [name for name in COMMANDS if not re.search(rf"(?<![\w-])agentctl {name}(?![\w-])", code)]
    assert not missing


def test_every_command_in_the_readme_exists_with_its_options() -> None:
    lines = list(command_lines(code_of(README.read_text())))
    assert lines
    for words in lines:
        check_line(words)


def test_every_alias_is_documented() -> None:
    help_text = root.get_help(click.Context(root, info_name="agentctl", **root.context_settings))
    manual = "".join(path.read_text() for path in (ROOT / "man").glob("*.1"))
    for alias, (_, target) in ALIASES.items():
        assert re.search(rf"^.*\b{alias}\b.* {target}$", help_text, re.MULTILINE), alias
        assert f".Nm agentctl {alias}\n" in manual, alias


@pytest.mark.parametrize("name", [*COMMANDS])
def test_a_command_helps_in_the_agreed_form(name: str) -> None:
    top = click.Context(root, info_name="agentctl", **root.context_settings)
    command = root.get_command(top, name)
    assert command is not None
    helps = []
    for context in walk(click.Context(command, info_name=name, parent=top)):
        path = context.command_path
        first, _, _ = (context.command.help or "").partition("\n\n")
        assert re.fullmatch(r"[A-Z].{,58}\.", first), f"{path}: {first!r}"
        helps += [parse_help(context.command.help or ""), parse_help(context.command.epilog or "")]
    assert any(each.examples for each in helps), f"{name} shows no example"
    assert any(each.statuses for each in helps), f"{name} does not say its exit status"


def test_the_table_of_commands_is_in_the_agreed_form() -> None:
    for name, (_, text) in COMMANDS.items():
        assert re.fullmatch(r"[A-Z].{,58}\.", text), f"{name}: {text!r}"


def test_every_option_has_a_help_text() -> None:
    silent = [
        f"{context.command_path} {param.opts[0]}"
        for context in everything()
        for param in context.command.params
        if isinstance(param, click.Option)
        and not param.hidden
        and not re.fullmatch(r"[A-Z].*[.\])]", param.help or "")
    ]
    assert not silent, "options whose help is not a sentence"


def test_every_command_takes_json() -> None:
    deaf = [
        context.command_path
        for context in everything()
        if not isinstance(context.command, click.Group) and "--json" not in option_names(context)
    ]
    assert not deaf


def test_examples_in_help_run_what_exists() -> None:
    for context in everything():
        for text in (context.command.help or "", context.command.epilog or ""):
            for words in command_lines(parse_help(text).examples):
                check_line(words)


def test_commands_named_in_help_exist() -> None:
    for context in everything():
        for code in re.findall(r"`(agentctl [^`]+)`", context.command.help or ""):
            for words in command_lines(code):
                check_line(words)


def text_of(node: ast.expr) -> str:
    """The text that an expression makes, with X for what is filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(map(text_of, parts))
        case _:
            return "X"


def test_commands_named_in_hints_exist() -> None:
    hints = [
        text_of(node.value)
        for path in SOURCES
        if path.suffix == ".py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.keyword) and node.arg == "hint"
    ]
    named = [match for hint in hints for match in re.findall(r"agentctl ([a-z]+)", hint)]
    assert len(named) > 10
    prose = {"command"}  # "run any agentctl command once"
    assert set(named) - prose <= {*COMMANDS, *ALIASES}


OURS = {value: name for name, value in vars(variables).items() if name.isupper() and isinstance(value, str)}
"""Each variable → the name of its constant."""

MENTION = re.compile(r"(?<![A-Z_])AGENTCTL_[A-Z]{2,}(?:_[A-Z]+)*_?(?![A-Z_])")


def test_every_variable_is_explained_once_and_used() -> None:
    explained = {*manpages.ENVIRONMENT, *variables.FOR_PROGRAMS} - {"NO_COLOR"}
    assert explained | set(variables.INTERNAL) == set(OURS)
    assert explained & set(variables.INTERNAL) == set()
    text = "\n".join(path.read_text() for path in SOURCES)
    spelled = {"DEMO_PACE"}  # by the demo agent, which imports nothing of ours
    assert {name for name in OURS.values() if f"variables.{name}" not in text} == spelled


def test_names_of_variables_are_spelled_in_their_table_alone() -> None:
    ours = {"variables.py", "demo_agent.py"}
    spelled = [
        f"{path}:{node.lineno}: {node.value}"
        for path in SOURCES
        if path.suffix == ".py" and path.name not in ours
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch("AGENTCTL_[A-Z_]*", node.value)
    ]
    assert spelled == []


def test_every_variable_that_is_mentioned_exists_and_the_readme_mentions_each() -> None:
    mentioned = {name for path in [*SOURCES, README] for name in MENTION.findall(path.read_text())}
    assert mentioned <= set(OURS)
    assert set(MENTION.findall(README.read_text())) == set(OURS) - set(variables.INTERNAL)


def test_the_readme_explains_every_exit_code() -> None:
    def family(top: type[AgentctlError]) -> Iterator[type[AgentctlError]]:
        yield top
        for below in top.__subclasses__():
            yield from family(below)

    codes = {each.exit_code for each in family(AgentctlError)} | {0, 4, 70, 124, 130}
    told = {int(code) for code in re.findall(r"^\| *`?(\d+)`? *\|", README.read_text(), re.MULTILINE)}
    assert codes <= told
    assert told <= codes


def test_the_readme_names_every_adapter() -> None:
    from agentctl.adapters.registry import ADAPTERS

    text = README.read_text()
    assert [name for name in ADAPTERS if f"`{name}`" not in text] == []


def setting_row(key: Key) -> str:
    """The row of a setting in the README's table."""
    words = key.default if isinstance(key.default, tuple) else (key.default,) if key.default else ()
    default = ", ".join(f"`{word}`" for word in words) or key.unset
    variable = f"`{key.variable}` " if key.variable else ""
    return f"| `{key.name}` | {key.help} | {default} | {variable}|"


def test_the_readme_has_the_row_of_every_setting() -> None:
    _, _, behind = README.read_text().partition(
        "\n| key | meaning | default | variable that overrides it |\n"
    )
    table, _, _ = behind.partition("\n\n")
    _, *rows, free = table.splitlines()
    assert rows == [setting_row(key) for key in (*SCHEMA, *ADAPTER_SCHEMA)]
    assert free.startswith("| `adapters.NAME.…` |")
