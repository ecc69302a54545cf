"""Manual pages in mdoc(7), made from the Click tree and from what only a manual says.

Pure: a tree in, texts out. Without dates, so that the same tree gives the same pages.
Loaded by `agentctl generate` alone.

A command's help is its page: paragraphs as they are; a block that starts with `\\b` as
typed, except that one headed "Examples:" or "Exit status:" becomes the section.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import click

from agentctl.core import variables
from agentctl.core.settings import SCHEMA

ENVIRONMENT: dict[str, str] = {
    variables.HOME: variables.FOR_AGENTCTL[variables.HOME],  # first, whatever else there is
    **{key.variable: f"{key.help} Overrides the setting {key.name}." for key in SCHEMA if key.variable},
    **variables.FOR_AGENTCTL,
    "NO_COLOR": "If set, nothing is coloured.",
}

FILES: dict[str, str] = {
    "~/.local/state/agentctl": "State on Linux.",
    "~/Library/Application Support/agentctl": "State and settings on macOS.",
    "~/.config/agentctl/config.toml": "Settings on Linux.",
    "agentctl.db": "In the state: sessions, fuses, locks, events and deliveries.",
    "sessions/ID/output.log": "In the state: all that the agent of a session printed.",
    "internal-errors.log": "In the state: details of errors that are bugs of agentctl.",
}

_STATUS = re.compile(r"\s*(\d+)\s+(.*)")
_PIECE = re.compile(r"(\[)?([^][\s]+?)(?(1)\])(\.\.\.)?")
_SENTENCE_END = re.compile(r"(?<=[a-z0-9)\"'][.!?])\s+(?=[A-Z`\"'(])")


@dataclass(frozen=True, slots=True)
class Help:
    """A help text taken apart."""

    blocks: tuple[tuple[bool, str], ...]
    """Blocks in their order; True for those that stay as typed."""
    examples: str
    statuses: tuple[tuple[str, str], ...]


def pages(
    root: click.Group,
    sections: Mapping[str, Mapping[str, tuple[str, str]]],
    *,
    aliases: Mapping[str, str],
    examples: Sequence[str],
    statuses: Mapping[str, str],
    version: str,
) -> dict[str, str]:
    """File name → page, for the program and for each command of `sections`.

    `aliases` maps other names to commands: `ls` → `list`, `fuses` → `fuse list`. `examples` and
    `statuses` are those of the program as a whole.
    """
    top = click.Context(root, info_name="agentctl", **root.context_settings)
    whole = Help((), "\n".join(examples), tuple(statuses.items()))
    made = {"agentctl.1": _text(_main_page(top, sections, aliases, whole, version))}
    for commands in sections.values():
        for name, (_, summary) in commands.items():
            command = root.get_command(top, name)
            if command is None:
                raise LookupError(name)
            context = click.Context(command, info_name=name, parent=top)
            lines = [
                *_head(f"agentctl-{name}", summary, version),
                *_synopsis(context),
                *_description(context, [alias for alias in aliases.items() if alias[1].split()[0] == name]),
                *_tail(context, _helps(context), see=[each for each in commands if each != name], given={}),
            ]
            made[f"agentctl-{name}.1"] = _text(lines)
    return made


def parse_help(text: str) -> Help:
    """Paragraphs, examples and exit statuses of a help text with Click's `\\b` marks."""
    blocks: list[tuple[bool, str]] = []
    examples = ""
    statuses: list[tuple[str, str]] = []
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text.split("\f")[0])):
        as_typed = paragraph.startswith("\b")
        block = paragraph.removeprefix("\b").strip("\n")
        heading, _, rest = block.partition(":")
        if as_typed and heading in ("Example", "Examples"):
            examples = textwrap.dedent(rest.strip("\n"))
        elif as_typed and heading == "Exit status":
            statuses = _statuses(rest)
        elif block:
            blocks.append((as_typed, textwrap.dedent(block)))
    return Help(tuple(blocks), examples, tuple(statuses))


def _statuses(text: str) -> list[tuple[str, str]]:
    """`10  no such session` → code and meaning, one a line or all in one: `0 done, 10 no such session`."""
    found: list[tuple[str, str]] = []
    for piece in re.split(r"\n|,\s+(?=\d+\s)", text.strip()):
        match = _STATUS.fullmatch(piece)
        if match:
            found.append((match[1], match[2]))
        elif found:
            code, words = found.pop()
            found.append((code, f"{words} {piece.strip()}"))
    return found


def _main_page(
    top: click.Context,
    sections: Mapping[str, Mapping[str, tuple[str, str]]],
    aliases: Mapping[str, str],
    whole: Help,
    version: str,
) -> Iterator[str]:
    summary, _, _ = (top.command.help or "").partition("\n")
    yield from _head("agentctl", summary, version)
    yield from _synopsis(top)
    yield from _description(top, list(aliases.items()))
    yield ".Sh COMMANDS"
    for title, commands in sections.items():
        yield f".Ss {title}"
        yield ".Bl -tag -width agentctl-completion(1)"
        for name, (_, text) in commands.items():
            yield f".It Xr agentctl-{name} 1"
            yield from _filled(text)
        yield ".El"
    names = [name for commands in sections.values() for name in commands]
    yield from _tail(top, [whole], see=names, given=variables.FOR_PROGRAMS)


def _head(title: str, summary: str, version: str) -> Iterator[str]:
    what = summary.rstrip(".")
    yield '.\\" Generated by `agentctl generate man`; change the help texts instead.'
    yield ".Dd $Mdocdate$"
    yield f".Dt {title.upper()} 1"
    yield f".Os agentctl {version}"
    yield ".Sh NAME"
    yield f".Nm {title}"
    yield f".Nd {_escaped(what[:1].lower() + what[1:])}"


def _synopsis(context: click.Context) -> Iterator[str]:
    yield ".Sh SYNOPSIS"
    command = context.command
    yield from _usage(context)
    if context.parent is not None and isinstance(command, click.Group):
        for _, child in _children(context):
            yield from _usage(child)


def _usage(context: click.Context) -> Iterator[str]:
    yield f".Nm {context.command_path}"
    for piece in context.command.collect_usage_pieces(context):
        if match := _PIECE.fullmatch(piece):
            optional, plain, dots = match.groups()
            yield f".{'Op ' if optional else ''}Ar {_escaped(plain)}{' ...' if dots else ''}"
        else:
            yield _guarded(_escaped(piece))


def _description(context: click.Context, aliases: list[tuple[str, str]]) -> Iterator[str]:
    yield ".Sh DESCRIPTION"
    yield from _blocks(f"{inspect.cleandoc(context.command.help or '')}\n\n{context.command.epilog or ''}")
    for alias, target in aliases:
        yield ".Pp"
        yield f".Nm agentctl {alias}"
        yield f"is another name of\n.Nm agentctl {target} ."
    yield ".Sh OPTIONS"
    yield from _options(context)
    if context.parent is None or not isinstance(context.command, click.Group):
        return
    yield ".Sh COMMANDS"
    for _, child in _children(context):
        yield f".Ss {child.command_path}"
        yield from _blocks(child.command.help or "")
        yield from _options(child)


def _blocks(text: str) -> Iterator[str]:
    for index, (as_typed, block) in enumerate(parse_help(text).blocks):
        if as_typed:
            yield from _literal(block)
            continue
        if index:
            yield ".Pp"
        yield from _filled(block)


def _options(context: click.Context) -> Iterator[str]:
    options = [each for each in context.command.get_params(context) if isinstance(each, click.Option)]
    yield ".Bl -tag -width Ds"
    for option in options:
        record = option.get_help_record(context)
        if record is None:
            continue
        value = "" if option.is_flag or option.count else f" Ar {_escaped(option.make_metavar(context))}"
        names = [_flag(name) + value for name in sorted((*option.opts, *option.secondary_opts), key=len)]
        yield f".It {' , '.join(names)}"
        yield from _filled(record[1])
    yield ".El"


def _flag(name: str) -> str:
    return f"Fl {_escaped(name[1:])}"


def _children(context: click.Context) -> Iterator[tuple[str, click.Context]]:
    """The visible commands of a group, each with a context of its own."""
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None and not command.hidden:
                yield name, click.Context(command, info_name=name, parent=context)


def _helps(context: click.Context) -> list[Help]:
    """The help of a command and of those below it."""
    texts = [context.command.help or "", context.command.epilog or ""]
    texts += [child.command.help or "" for _, child in _children(context)]
    return [parse_help(text) for text in texts]


def _tail(
    context: click.Context, helps: Sequence[Help], *, see: list[str], given: Mapping[str, str]
) -> Iterator[str]:
    yield ".Sh ENVIRONMENT"
    yield from _list("Ev", ENVIRONMENT)
    if given:
        yield ".Pp"
        yield from _filled("What agentctl sets for agents and hooks:")
        yield from _list("Ev", given)
    yield ".Sh FILES"
    yield from _list("Pa", FILES)
    yield ".Sh EXIT STATUS"
    # Commands of a group mostly share theirs; the first one with a code explains it.
    statuses: dict[str, str] = {}
    for code, meaning in (pair for each in helps for pair in each.statuses):
        statuses.setdefault(code, meaning)
    yield from _list("Li", dict(sorted(statuses.items(), key=lambda pair: int(pair[0]))))
    if context.parent is not None:
        if statuses:
            yield ".Pp"
        yield from _filled("Other codes are those of agentctl(1).")
    examples = "\n".join(each.examples for each in helps if each.examples)
    if examples:
        yield ".Sh EXAMPLES"
        yield from _literal(examples)
    yield ".Sh SEE ALSO"
    others = sorted(f"agentctl-{name}" for name in see)
    references = [*(["agentctl"] if context.parent else []), *others]
    yield from (f".Xr {name} 1 ," for name in references[:-1])
    yield f".Xr {references[-1]} 1"


def _list(macro: str, entries: Mapping[str, str]) -> Iterator[str]:
    if not entries:
        return
    yield ".Bl -tag -width Ds"
    for name, text in entries.items():
        yield f".It {macro} {_escaped(name)}"
        yield from _filled(text[:1].upper() + text[1:] + ("" if text.endswith(".") else "."))
    yield ".El"


def _literal(text: str) -> Iterator[str]:
    if text.strip():
        yield ".Bd -literal -offset indent"
        yield from (_guarded(_escaped(line)) for line in text.strip("\n").splitlines())
        yield ".Ed"


def _filled(text: str) -> Iterator[str]:
    """A paragraph, each sentence on a line of its own, as mdoc wants it."""
    for sentence in _SENTENCE_END.split(" ".join(text.split())):
        lines = textwrap.wrap(sentence, 76, break_long_words=False, break_on_hyphens=False)
        yield from (_guarded(_escaped(line)) for line in lines)


def _escaped(text: str) -> str:
    """Backslashes and hyphens as they are: a plain "-" may become a typographic one."""
    return text.replace("\\", "\\e").replace("-", "\\-")


def _guarded(line: str) -> str:
    """A line of text that starts like a request."""
    return "\\&" + line if line.startswith((".", "'")) else line


def _text(lines: Iterator[str] | list[str]) -> str:
    return "\n".join(lines) + "\n"
