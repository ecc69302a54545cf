"""The configuration file: read for every command, written by `config` alone.

Must not know what a setting means: that is `core.settings`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from agentctl.core.settings import Problem, Settings, SettingsError, settings
from agentctl.errors import OperationFailed, StateUnusable, UsageFault
from agentctl.host.files import write_private
from agentctl.host.toml_file import key_lines, nearest
from agentctl.host.toml_file import parse as parse

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


def load(config_path: str, environ: Mapping[str, str]) -> Settings:
    """The settings of this file and environment. Raises UsageFault for anything wrong in either.

    A file that is not there costs one look and no TOML reader.
    """
    text = read_text(config_path)
    try:
        return settings(parse(config_path, text), environ)
    except SettingsError as error:
        raise fault(config_path, text, error.problems) from error


def read_text(config_path: str) -> str:
    """The file's text; empty where there is none. Raises UsageFault or StateUnusable."""
    try:
        with open(config_path, "rb") as file:
            return file.read().decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except UnicodeDecodeError as error:
        raise UsageFault(f"{config_path} is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise StateUnusable(
            f"{config_path} cannot be read: {error.strerror}",
            hint=f"it must be a file that you may read: ls -ld {config_path}",
        ) from error


def fault(config_path: str, text: str, problems: Sequence[Problem]) -> UsageFault:
    """One error for all problems: a line each, with its place in the file."""
    known, lines = key_lines(text), []
    for problem in problems:
        line = None if problem.in_environment else nearest(known, problem.key.split("."))
        where = "" if problem.in_environment else config_path + (f", line {line}" if line else "") + ": "
        hint = f" ({problem.hint})" if problem.hint and len(problems) > 1 else ""
        lines.append(f"{where}{problem.key}: {problem.text}{hint}")
    return UsageFault("\n".join(lines), hint=problems[0].hint if len(problems) == 1 else None)


def with_value(text: str, path: Sequence[str], value: object) -> str:
    """The TOML text with `value` at `path`; comments, order and everything else as they were.

    Raises OperationFailed where that cannot be done.
    """
    import tomlkit

    document = _editable(text, path)
    table: Any = document
    for index, name in enumerate(path[:-1]):
        if name not in table:
            table[name] = tomlkit.table(is_super_table=index < len(path) - 2)
        table = table[name]
    table[path[-1]] = value
    return _checked(text, tomlkit.dumps(document), path, value)


def without(text: str, path: Sequence[str]) -> str:
    """The TOML text without the key at `path`, which must be there."""
    import tomlkit

    document = _editable(text, path)
    table: Any = document
    for name in path[:-1]:
        table = table[name]
    del table[path[-1]]
    return _checked(text, tomlkit.dumps(document), path, None)


@contextmanager
def alone(config_path: str) -> Iterator[None]:
    """No other process that asks for the same changes the file meanwhile: read, change and write in here.

    It is the directory that is locked: the file itself is replaced by every change. Where
    that cannot be done, `write` says why or the file system has no locks.
    """
    directory = os.path.dirname(os.path.realpath(config_path))
    descriptor = None
    with suppress(OSError):
        os.makedirs(directory, mode=0o700, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def write(config_path: str, text: str) -> None:
    """Replace the file at once, for its owner alone; a symbolic link stays one."""
    target = os.path.realpath(config_path)
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise UsageFault("a setting must be UTF-8 text, and this value is not") from error
    try:
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        write_private(target, data)
    except OSError as error:
        where = os.path.dirname(target)
        raise OperationFailed(
            f"{target} cannot be written: {error.strerror}",
            hint=f"{where} must be a directory in which you may write: ls -ld {where}",
        ) from error


def _editable(text: str, path: Sequence[str]) -> TOMLDocument:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise _by_hand(path) from error


def _by_hand(path: Sequence[str]) -> OperationFailed:
    return OperationFailed(
        f"{'.'.join(path)} cannot be changed without touching other settings", hint="edit the file by hand"
    )


def _checked(before: str, after: str, path: Sequence[str], value: object) -> str:
    """`after`, if it differs from `before` in this one key; a file of a person's is not gambled with."""
    import tomllib

    expected = tomllib.loads(before)
    table = expected
    for name in path[:-1]:
        table = table.setdefault(name, {})
    if value is None:
        table.pop(path[-1], None)
    else:
        table[path[-1]] = value
    try:
        is_right = tomllib.loads(after) == expected
    except tomllib.TOMLDecodeError:
        is_right = False
    if not is_right:
        raise _by_hand(path)
    return after
