"""What a parallel launch consists of: slots, a matrix expanded, names of branches and worktrees.

Values in, values out. Must not know files, YAML, TOML or git: whoever has read a matrix
file hands its content in, and finds the lines of the problems.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple

from agentctl.core.near import did_you_mean, near_matches
from agentctl.core.slots import Matrix, Slot

MAX_SLOTS = 32
"""Agents that one launch may start."""

LONGEST_SLUG = 80
"""Characters of a worktree's name that come from its branch: a file name has room for 255 bytes."""

LONGEST_BYTES = 160
"""The same for a branch in another script, whose characters take up to four bytes each."""

FILE_KEYS = ("prompt", "cwd", "spec", "hooks", "matrix")
HOOK_KEYS = ("on_create", "on_complete", "on_fuse_warn")
ENTRY_KEYS = ("adapter", "model", "branch", "base_branch", "prompt")

OLD_NAMES = {"baseBranch": "base_branch"}
"""Spellings of the TypeScript agentctl → ours."""


Path = tuple[str | int, ...]
"""Where in a file: keys and positions, `("matrix", 1, "model")`."""


class MatrixProblem(NamedTuple):
    """One thing wrong with a matrix."""

    path: Path
    text: str
    hint: str | None = None


class MatrixError(ValueError):
    """A matrix with problems; at least one."""

    def __init__(self, problems: Sequence[MatrixProblem]) -> None:
        super().__init__("; ".join(f"{dotted(each.path)}: {each.text}" for each in problems))
        self.problems = tuple(problems)


def dotted(path: Path) -> str:
    """`matrix[1].model`, counted from 0 as in programs."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def read_matrix(data: object) -> Matrix:
    """The matrix that a file's content describes. Raises MatrixError with everything that is wrong."""
    if not isinstance(data, Mapping):
        raise MatrixError([MatrixProblem((), f"must be a table with the keys {', '.join(FILE_KEYS)}")])
    wrong = _unknown((), data, FILE_KEYS)
    texts = {name: _text((name,), data.get(name), wrong) for name in ("prompt", "cwd", "spec")}
    hooks = _hooks(data.get("hooks"), wrong)
    entries = data.get("matrix")
    slots: list[Slot] = []
    if not isinstance(entries, list | tuple) or not entries:
        wrong.append(MatrixProblem(("matrix",), "must be a list of at least one entry, each with an adapter"))
    else:
        choices = [_choices(("matrix", number), entry, wrong) for number, entry in enumerate(entries)]
        # Counted before it is expanded: ten lists of a hundred would not fit into memory.
        count = sum(prod(map(len, each.values())) for each in choices if each)
        if count > MAX_SLOTS:
            wrong.append(MatrixProblem(("matrix",), f"makes {count} slots; at most {MAX_SLOTS} are allowed"))
        elif not wrong:
            slots = [
                Slot(**dict(zip(each, values, strict=True)))
                for each in choices
                for values in product(*each.values())
            ]
    if wrong:
        raise MatrixError(wrong)
    return Matrix(tuple(slots), hooks=hooks, **texts)


def _choices(path: Path, entry: object, wrong: list[MatrixProblem]) -> dict[str, tuple[Any, ...]]:
    """Key → the values it takes, one or several; a list of values multiplies the slots."""
    if not isinstance(entry, Mapping):
        wrong.append(MatrixProblem(path, "must be a table with an adapter, such as {adapter: demo}"))
        return {}
    wrong += _unknown(path, entry, (*ENTRY_KEYS, *OLD_NAMES))
    found: dict[str, tuple[Any, ...]] = {}
    for written, value in entry.items():
        name = OLD_NAMES.get(written, written)
        if name not in ENTRY_KEYS or value is None:
            continue
        if isinstance(value, list | tuple):
            if not value:
                wrong.append(MatrixProblem((*path, written), "is an empty list: it would make no slots"))
            values = tuple(_text((*path, written, at), one, wrong) for at, one in enumerate(value))
        else:
            values = (_text((*path, written), value, wrong),)
        found[name] = values
    if not found.get("adapter"):
        wrong.append(MatrixProblem(path, "has no adapter"))
    return found


def _hooks(value: object, wrong: list[MatrixProblem]) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        wrong.append(MatrixProblem(("hooks",), f"must be a table with the keys {', '.join(HOOK_KEYS)}"))
        return {}
    wrong += _unknown(("hooks",), value, HOOK_KEYS)
    texts = {name: _text(("hooks", name), value.get(name), wrong) for name in HOOK_KEYS}
    return {name: text for name, text in texts.items() if text is not None}


def _text(path: Path, value: object, wrong: list[MatrixProblem]) -> str | None:
    """The text at a key; None, with a problem noted, for anything else. Null stands for no value."""
    if value is None and not isinstance(path[-1], int):
        return None
    if isinstance(value, str) and value.strip() and "\0" not in value:
        return value
    if isinstance(value, str):
        wrong.append(MatrixProblem(path, "must not contain NUL" if "\0" in value else "must not be empty"))
    elif value is None or isinstance(value, Mapping | list | tuple):
        wrong.append(MatrixProblem(path, "must be a string"))
    else:
        wrong.append(
            MatrixProblem(path, f"must be a string, not {type(value).__name__} {value}", "put it in quotes")
        )
    return None


def _unknown(path: Path, table: Mapping[Any, object], known: Sequence[str]) -> list[MatrixProblem]:
    problems = []
    for name in table:
        if name in known:
            continue
        hint = did_you_mean(near_matches(str(name), known)) or f"known here: {', '.join(known)}"
        problems.append(MatrixProblem((*path, str(name)), "is not a key of a matrix file", hint))
    return problems


def suffixes(slots: Sequence[Slot]) -> list[str]:
    """A readable name for each slot, no two the same in any case of letters.

    The adapter; where that says too little, with the model's short name; then a number.
    """
    adapters = [slug(slot.adapter) for slot in slots]
    named = [
        name if adapters.count(name) == 1 or not slot.model else f"{name}-{_short_model(slot.model)}"
        for name, slot in zip(adapters, slots, strict=True)
    ]
    return numbered([name.lower() for name in named])


def numbered(names: Sequence[str]) -> list[str]:
    """The same names, those that occurred before with a number that makes them new."""
    unique: list[str] = []
    for name in names:
        others = {*names} - {name}
        unique.append(first_free(name, {*unique, *others}.__contains__))
    return unique


def branches(slots: Sequence[Slot], group: str) -> list[str]:
    """A branch for each slot: its own, else `try/<group>/<suffix>`.

    A branch that several slots ask for is one for each of them: `<branch>-<suffix>`.
    """
    asked = [slot.branch for slot in slots]
    names = suffixes(slots)
    return numbered(
        [
            f"try/{group}/{name}"
            if slot.branch is None
            else slot.branch
            if asked.count(slot.branch) == 1
            else f"{slot.branch}-{name}"
            for slot, name in zip(slots, names, strict=True)
        ]
    )


def slug(text: str) -> str:
    """`text` as part of a branch or file name: letters, digits, `_`, `-` and single dots inside."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text)
    plain = re.sub(r"\.{2,}", ".", plain)[:LONGEST_SLUG].strip("-.")
    return re.sub(r"\.lock$", "-lock", plain) or "x"


def _short_model(model: str) -> str:
    """`anthropic/claude-opus-4` → `claude-opus-4`."""
    return slug(model.rstrip("/").rpartition("/")[2])


def worktree_path(repository: str, branch: str, is_taken: Callable[[str], bool]) -> str:
    """Where a branch is checked out: `<repository>-<branch>` beside it, numbered where that is taken."""
    return first_free(f"{repository.removesuffix('.git')}-{_file_name(branch)}", is_taken)


def _file_name(branch: str) -> str:
    """`branch` as part of a file name: as `slug`, with the letters and digits of every script."""
    if branch.isascii():
        return slug(branch)
    composed = unicodedata.normalize("NFC", branch)
    # Marks are parts of letters: the vowels of Hindi and Thai, accents that no letter is composed with.
    plain = "".join(each if _belongs(each) else "-" for each in composed)
    plain = re.sub(r"-{2,}", "-", re.sub(r"\.{2,}", ".", plain))
    plain = plain.encode()[:LONGEST_BYTES].decode(errors="ignore").strip("-.")
    return re.sub(r"\.lock$", "-lock", plain) or "x"


def _belongs(character: str) -> bool:
    return character in "._-" or unicodedata.category(character)[0] in "LMN"


def first_free(name: str, is_taken: Callable[[str], bool]) -> str:
    """`name`, with the first number from 2 on behind it where it is taken."""
    free, number = name, 2
    while is_taken(free):
        free, number = f"{name}-{number}", number + 1
    return free
