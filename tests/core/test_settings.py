"""The schema: every key, every kind of mistake, and that the environment wins."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agentctl.core.decide import EVENT_OF
from agentctl.core.posts import ENDINGS
from agentctl.core.settings import (
    ADAPTER_SCHEMA,
    SCHEMA,
    Settings,
    SettingsError,
    effective,
    find_key,
    near_keys,
    problems,
    settings,
)
from agentctl.core.sizes import parse_size
from agentctl.core.written import WEBHOOK_EVENTS

FULL: dict[str, Any] = {
    "adapter": "opencode",
    "defaults": {"fuse": "2h", "fuse_warn": "10m", "settle": "0", "model": "m", "max_running": 3},
    "hooks": {"on_create": "a", "on_complete": "b", "on_fuse_warn": "c", "timeout": "1m"},
    "webhook": {"url": "https://h.example/x", "secret": "s", "events": ["session.*"], "timeout": "3s"},
    "adapters": {"opencode": {"command": "oc", "model": "n", "args": ["-x"], "port": 12}},
    "prune": {"older_than": "1d"},
    "stop": {"timeout": "0"},
    "wait": {"timeout": "1h"},
    "peek": {"messages": 5},
    "logs": {"max_size": "10MB", "lines": "7"},
}


def test_an_empty_configuration_is_the_defaults() -> None:
    assert settings({}, {}) == Settings()
    assert Settings().settle == timedelta(seconds=1)
    assert Settings().hook_timeout == timedelta(minutes=5)
    assert Settings().webhook_events == ENDINGS, "each end once, nothing else"
    assert Settings().prune_older_than == timedelta(days=7)


@pytest.mark.parametrize("word", ["ending", "session.stopped"])
def test_one_word_asks_for_every_end_of_a_session(word: str) -> None:
    """The TypeScript agentctl called every end session.stopped, and lists of it go on meaning that."""
    assert settings({"webhook": {"events": [word]}}, {}).webhook_events == ENDINGS


def test_two_ends_can_be_asked_for_alone() -> None:
    events = ["session.error", "session.timeout", "fuse.expired"]
    assert settings({"webhook": {"events": events}}, {}).webhook_events == tuple(events)


def test_every_key_arrives() -> None:
    made = settings(FULL, {})
    assert made.adapter == "opencode"
    assert (made.fuse, made.fuse_warn) == (timedelta(hours=2), timedelta(minutes=10))
    assert (made.settle, made.model) == (timedelta(0), "m")
    assert [made.hook(name) for name in ("on_create", "on_complete", "on_fuse_warn")] == ["a", "b", "c"]
    assert made.hook("fuse_script") is None
    assert made.hook_timeout == timedelta(minutes=1)
    assert (made.webhook_url, made.webhook_secret) == ("https://h.example/x", "s")
    assert made.webhook_events == tuple(name for name in WEBHOOK_EVENTS if name.startswith("session."))
    assert made.webhook_timeout == timedelta(seconds=3)
    assert made.adapters["opencode"] == {"command": "oc", "model": "n", "args": ["-x"], "port": 12}
    assert made.prune_older_than == timedelta(days=1)
    assert (made.stop_timeout, made.wait_timeout) == (timedelta(), timedelta(hours=1))
    assert (made.max_running, made.peek_messages, made.logs_lines) == (3, 5, 7)
    assert made.log_max_size == 10_000_000


def test_the_full_configuration_names_every_key_of_the_schema() -> None:
    named = {f"{table}.{key}" for table, keys in FULL.items() if isinstance(keys, dict) for key in keys}
    assert {key.name for key in SCHEMA} <= named | {"adapter", "compat"}


def test_every_end_of_a_session_is_a_webhook_event() -> None:
    assert set(EVENT_OF.values()) <= set(WEBHOOK_EVENTS)


def test_every_key_has_help_of_one_line() -> None:
    for key in (*SCHEMA, *ADAPTER_SCHEMA):
        assert key.help.endswith(".")
        assert len(key.help) <= 60


@pytest.mark.parametrize(
    ("variable", "attribute", "value", "read"),
    [
        ("AGENTCTL_ADAPTER", "adapter", "exec", "exec"),
        ("AGENTCTL_FUSE", "fuse", "5m", timedelta(minutes=5)),
        ("AGENTCTL_WEBHOOK_URL", "webhook_url", "http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("AGENTCTL_WEBHOOK_SECRET", "webhook_secret", "other", "other"),
    ],
)
def test_the_environment_beats_the_file(variable: str, attribute: str, value: str, read: object) -> None:
    made, kept, plain = (
        getattr(settings(FULL, environ), attribute) for environ in ({variable: value}, {variable: ""}, {})
    )
    assert made == read
    assert kept == plain != read, "an empty variable counts as none"


def test_a_wrong_variable_is_named() -> None:
    with pytest.raises(SettingsError) as caught:
        settings({}, {"AGENTCTL_FUSE": "5"})
    assert [problem.key for problem in caught.value.problems] == ["AGENTCTL_FUSE"]
    assert "needs a unit" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "key", "text", "hint"),
    [
        ({"adaptor": "x"}, "adaptor", "is not a setting", "adapter"),
        ({"fuse": "2h"}, "fuse", "is not a setting", "defaults.fuse"),
        ({"hook": {"timeout": "1s"}}, "hook", "is not a table", "hooks"),
        ({"defaults": {"fuze": "2h"}}, "defaults.fuze", "is not a setting", "defaults.fuse"),
        ({"prune": {"xyzzy": 1}}, "prune.xyzzy", "is not a setting", "[prune] takes older_than"),
        ({"xyzzy": 1}, "xyzzy", "is not a setting", "config show"),
        ({"defaults": 5}, "defaults", "is a table", None),
        ({"adapters": {"x": 5}}, "adapters.x", "is a table", None),
        ({"adapter": 5}, "adapter", "quoted string", None),
        ({"adapter": " "}, "adapter", "must not be empty", None),
        ({"adapter": "a\0b"}, "adapter", "NUL", None),
        ({"adapter": {"name": "x"}}, "adapter", "quoted string", None),
        ({"defaults": {"fuse": 10}}, "defaults.fuse", "quoted duration", None),
        ({"defaults": {"fuse": "10"}}, "defaults.fuse", "needs a unit", None),
        ({"defaults": {"fuse": "0s"}}, "defaults.fuse", "longer than zero", None),
        ({"defaults": {"settle": True}}, "defaults.settle", "quoted duration", None),
        ({"webhook": {"url": "h.example"}}, "webhook.url", "https://", None),
        ({"webhook": {"url": "https:// "}}, "webhook.url", "https://", None),
        ({"webhook": {"events": "session.stopped"}}, "webhook.events", "list of strings", None),
        (
            {"webhook": {"events": ["session.stoped"]}},
            "webhook.events",
            'mean "session.stopped" or "session.started"?',
            None,
        ),
        ({"webhook": {"events": ["lock.*"]}}, "webhook.events", "allowed: ending, session.started", None),
        ({"logs": {"max_size": True}}, "logs.max_size", "size", None),
        ({"logs": {"max_size": "10 apples"}}, "logs.max_size", "10MB", None),
        ({"adapters": {"x": {"command": []}}}, "adapters.x.command", "name a program", None),
        ({"adapters": {"x": {"command": [1]}}}, "adapters.x.command", "list of strings", None),
        ({"adapters": {"x": {"args": "-v"}}}, "adapters.x.args", "list of strings", None),
    ],
)
def test_a_mistake_names_key_fact_and_way_out(
    data: dict[str, Any], key: str, text: str, hint: str | None
) -> None:
    found = problems(data)
    assert [problem.key for problem in found] == [key]
    assert text in found[0].text
    assert (hint or "") in (found[0].hint or "")
    with pytest.raises(SettingsError):
        settings(data, {})


def test_all_mistakes_are_reported() -> None:
    data = {"adapter": 1, "defaults": {"fuse": "x", "nonsense": 1}}
    assert [problem.key for problem in problems(data)] == ["adapter", "defaults.fuse", "defaults.nonsense"]


def test_values_as_written_and_where_they_are_from() -> None:
    fuse = find_key("defaults.fuse")
    settle = find_key("defaults.settle")
    assert fuse
    assert settle
    assert effective(fuse, FULL, {"AGENTCTL_FUSE": "1h"}) == ("1h", "environment")
    assert effective(fuse, FULL, {}) == ("2h", "file")
    assert effective(fuse, {}, {}) == (None, "default")
    assert effective(settle, {}, {}) == ("1s", "default")


def test_keys_by_name() -> None:
    assert find_key("adapters.opencode.args") is not None
    assert find_key("adapters.opencode.port") is None, "a free key"
    for unknown in ("fuse", "defaults", "adapters", "adapters.x", "adapters..args", "", "adapter.x"):
        with pytest.raises(KeyError):
            find_key(unknown)
    assert near_keys("timeout") == ["stop.timeout", "wait.timeout", "hooks.timeout", "webhook.timeout"]
    assert near_keys("webhok.url") == ["webhook.url"]


@pytest.mark.parametrize(
    ("text", "size"),
    [("4096", 4096), ("500k", 500_000), ("10MB", 10**7), ("1GiB", 2**30), ("1.5 KiB", 1536), ("1b", 1)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "MB", "1 i", "1iB", "1PB", "1e3", "9" * 400 + "T", "0.1"])
def test_wrong_sizes(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        parse_size(text)
