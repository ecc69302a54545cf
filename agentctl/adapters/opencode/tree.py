"""The JSON tree in which opencode kept its sessions before release 1.2.

    session/<project>/<session>.json   message/<session>/<message>.json   part/<message>/<part>.json

Every function takes the tree's directory. Must not write; what cannot be read is skipped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from agentctl.adapters.opencode.records import StoredMessage, StoredRun, StoredSession, created, model_of
from agentctl.adapters.reading import is_name, json_object, names, open_regular
from agentctl.adapters.values import integer, mapping, string


def is_listed(tree: str, native_id: str) -> bool | None:
    """Whether the tree holds this session; None if there is a tree that cannot be read."""
    directory = os.path.join(tree, "session")
    try:
        projects = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return None
    return is_name(native_id) and any(
        os.path.exists(os.path.join(directory, project, f"{native_id}.json")) for project in projects
    )


def sessions(tree: str) -> Iterator[StoredSession]:
    """Every session, with its newest message."""
    for path in _session_files(tree):
        session = _session(path)
        if session is not None:
            yield _with_newest(tree, session)


def run(tree: str, native_id: str, since: int) -> StoredRun | None:
    """The session and its messages from `since` (milliseconds) on; None if the tree lacks it."""
    paths = (path for path in _session_files(tree) if os.path.basename(path) == f"{native_id}.json")
    session = next((session for path in paths if (session := _session(path)) is not None), None)
    if session is None:
        return None
    ours = [message for message in conversation(tree, native_id) if created(message.data) >= since]
    return StoredRun(
        session=_with_newest(tree, session),
        messages=tuple(message.data for message in ours),
        last_parts=ours[-1].parts if ours else (),
    )


def conversation(tree: str, native_id: str) -> list[StoredMessage]:
    """All messages with their parts, oldest first."""
    return [
        StoredMessage(data=message, parts=tuple(_records(tree, "part", string(message.get("id")) or "")))
        for message in _records(tree, "message", native_id)
    ]


def _session_files(tree: str) -> Iterator[str]:
    directory = os.path.join(tree, "session")
    for project in _names(directory):
        for name in _names(os.path.join(directory, project)):
            yield os.path.join(directory, project, name)


def _session(path: str) -> StoredSession | None:
    record = _load(path)
    if record is None or not isinstance(record.get("id"), str):
        return None
    times = mapping(record.get("time"))
    return StoredSession(
        id=record["id"],
        parent_id=string(record.get("parentID")),
        directory=string(record.get("directory")),
        title=string(record.get("title")),
        version=string(record.get("version")),
        created=integer(times.get("created")) or 0,
        updated=integer(times.get("updated")) or 0,
        is_archived=times.get("archived") is not None,
    )


def _with_newest(tree: str, session: StoredSession) -> StoredSession:
    paths = _files(tree, "message", session.id)
    newest = _load(paths[-1]) if paths else None
    return replace(session, newest=newest, model=model_of(newest))


def _records(tree: str, kind: str, owner: str) -> Iterator[Mapping[str, Any]]:
    return (record for path in _files(tree, kind, owner) if (record := _load(path)) is not None)


def _files(tree: str, kind: str, owner: str) -> list[str]:
    """Paths of the records of `owner`; their names ascend with time."""
    if not is_name(owner):
        return []
    directory = os.path.join(tree, kind, owner)
    return [os.path.join(directory, name) for name in sorted(_names(directory))]


def _names(directory: str) -> list[str]:
    """The records and directories in a directory, without half-written and hidden files."""
    return [name for name in names(directory) if name.endswith(".json") or "." not in name]


def _load(path: str) -> Mapping[str, Any] | None:
    try:
        with open_regular(path) as file:
            return json_object(file.read().decode("utf-8", "replace"))
    except OSError:
        return None
