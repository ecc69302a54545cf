"""What people read is plain English: no phrase of this list in help, messages, comments or pages."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import pytest

from agentctl.cli import root

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "man").glob("*.1"))]
SOURCES = sorted((ROOT / "agentctl").rglob("*.py"))

BANNED = {
    r"(?<!there\s)\b(is|are|was|were) no (?!longer|more|such)": "is not a",
    r"\b(that|which) (is|are) none\b": "that is not one",
    r"\bnames? none\b|\bneeds none\b": "does not name one, does not need one",
    r"\ba text\b|\blist of texts\b": "a string, some text, a list of strings",
    r"\bnot to be (found|seen|read|had)\b": "not found",
    r"\ball the same\b": "anyway",
    r"\bso long (before|until|after|ago)\b": "this long before",
    r"\b(is|are|was|were) told (of|--)": "is reported, is given --force",
    r"\btells? (nothing|less|what|why|who|whose|which|of)\b": "says, shows, explains",
    r"\bwithout a word\b": "silently",
    r"\bon record\b": "recorded",
    r"\ban? ended session\b": "a session that has ended",
    r"\b(had|has|have) ended already\b": "has already ended",
    r"\b(had|has|have) (arrived|fired) already\b": "has already arrived, fired",
    r"\bg(o|oes|oing) on (with|printing)\b": "continue",
    r"\bknown of\b": "known about",
    r"\bsa(y|ys|id) (nothing )?of (it|itself|him)\b": "says about it",
    r"\bspeaks? of\b": "is about, names",
    r"\btakes? over what\b": "import",
    r"\btimes? (\S+ )?(is|are) over\b": "timed out, has expired",
    r"\bfor good\b": "permanently",
    r"\bof (its|their) own accord\b": "by itself",
    r"\bha(s|ve) no like\b": "have no equivalent",
    r"\bmend(s|ed|ing)?\b": "fix",
    r"\bvouch\w*": "prove, protect",
    r"\bby the way\b": "incidentally",
    r"\bwholly or in part\b": "in whole or in part",
    r"\bin the hands of\b": "being handled by",
    r"\bstands? (below|between|beside|behind|there)\b": "is below",
    r"(?<!\w)(After how long|With how many|With how much)\b": "How long until, how many",
    r"\banew\b": "again",
    r"\bhangs on\b": "depends on",
    r"\breckon\w*": "compute, count",
    r"\b(nothing|bug|code|module|variable)s? of ours\b": "our own",
}
"""Pattern → what a native reader would expect in its place."""

PHRASES = {
    re.compile(pattern.replace(" ", r"\s++"), re.IGNORECASE): better for pattern, better in BANNED.items()
}


def joined(node: ast.JoinedStr) -> str:
    """An f-string as one string, with X for each value that is filled in."""
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)


def strings(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Every string below `node`, docstrings included, with its line."""
    match node:
        case ast.JoinedStr(lineno=line):
            yield line, joined(node)
        case ast.Constant(value=str(text), lineno=line):
            yield line, text
    for child in ast.iter_child_nodes(node):
        if not (isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)):
            yield from strings(child)


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Every comment with its first line; comments on consecutive lines are one."""
    block: list[str] = []
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if block and token.start[0] != last + 1:
            yield last - len(block) + 1, "\n".join(block)
            block = []
        block.append(token.string.lstrip("#: "))
        last = token.start[0]
    if block:
        yield last - len(block) + 1, "\n".join(block)


def texts_of(source: str) -> Iterator[tuple[int, str]]:
    yield from strings(ast.parse(source))
    yield from comments(source)


def findings(where: str, texts: Iterable[tuple[int, str]]) -> list[str]:
    """`file:line: phrase (better)` for each phrase of the list."""
    return [
        f"{where}:{line + text.count(chr(10), 0, match.start())}: {' '.join(match[0].split())!r}"
        f" (better: {better})"
        for line, text in texts
        for pattern, better in PHRASES.items()
        for match in pattern.finditer(text)
    ]


def helps(context: click.Context) -> Iterator[tuple[str, str]]:
    """The path of each command, hidden ones too, with each of its help texts."""
    command = context.command
    for text in (command.help, command.epilog, command.short_help):
        yield context.command_path, text or ""
    for param in command.params:
        if isinstance(param, click.Option):
            yield f"{context.command_path} {param.opts[0]}", param.help or ""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from helps(click.Context(child, info_name=name, parent=context))


def test_the_list_finds_a_phrase_wherever_it_stands() -> None:
    source = '''
"""First line.

It is no
    good."""
x = 1  # launches all
# the same
y = f"{x} had ended {x} and had ended already"
z = "is no longer there"
'''
    assert [each.partition(" (")[0] for each in findings("x.py", texts_of(source))] == [
        "x.py:4: 'is no'",
        "x.py:8: 'had ended already'",
        "x.py:6: 'all the same'",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_plain_english(page: Path) -> None:
    assert findings(page.name, [(1, page.read_text())]) == []


def test_help_is_plain_english() -> None:
    top = click.Context(root, info_name="agentctl", **root.context_settings)
    found = [each for path, text in helps(top) for each in findings(path, [(1, text)])]
    assert found == []


def test_sources_are_plain_english() -> None:
    found = []
    for path in SOURCES:
        where = str(path.relative_to(ROOT))
        found += findings(where, texts_of(path.read_text()))
    assert found == []
