"""The types and options that commands share."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from agentctl.commands import _options
from agentctl.commands._options import (
    DURATION,
    DURATION_OR_ZERO,
    SINCE,
    Duration,
    Since,
    instant,
    pass_runtime,
)
from agentctl.runtime import Runtime

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def convert(kind: Duration | Since, text: str) -> object:
    return kind.convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", timedelta(seconds=90)), ("1h30m", timedelta(minutes=90)), ("1d", timedelta(days=1))],
)
def test_a_duration(text: str, expected: timedelta) -> None:
    assert convert(DURATION, text) == expected
    assert convert(SINCE, text) == expected


@pytest.mark.parametrize("text", ["", "10", "-5m", "soon", "0s"])
def test_what_is_no_duration_is_a_usage_error(text: str) -> None:
    with pytest.raises(click.BadParameter, match="duration"):
        convert(DURATION, text)


def test_zero_only_where_it_means_something() -> None:
    assert convert(DURATION_OR_ZERO, "0") == timedelta()


def test_since_an_instant() -> None:
    assert convert(SINCE, "2026-01-31T18:00:00+02:00") == datetime(2026, 1, 31, 16, tzinfo=UTC)
    assert convert(SINCE, "2026-01-31T18:00:00Z") == datetime(2026, 1, 31, 18, tzinfo=UTC)
    with pytest.raises(click.BadParameter, match="neither a duration"):
        convert(SINCE, "yesterday")


def test_since_a_time_without_a_zone_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC-3")
    time.tzset()
    try:
        assert convert(SINCE, "2026-01-31 18:00") == datetime(2026, 1, 31, 15, tzinfo=UTC)
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()


def test_the_instant_that_since_means() -> None:
    assert instant(timedelta(hours=1), NOW) == NOW - timedelta(hours=1)
    assert instant(NOW, NOW) == NOW
    assert instant(timedelta(days=3650 * 300), NOW) == datetime.min.replace(tzinfo=UTC)


@click.group("top")
def top() -> None:
    pass


@top.command("verb")
@pass_runtime
def verb(runtime: Runtime) -> None:
    click.echo(
        f"{runtime.actor} {runtime.paths.state} {runtime is _options.runtime_of(click.get_current_context())}"
    )


def invoke(obj: object = None) -> Result:
    return CliRunner().invoke(top, ["verb"], obj=obj, catch_exceptions=False)


def test_a_command_gets_the_one_runtime_of_its_invocation(sealed_home: Path) -> None:
    assert invoke().stdout == f"verb {sealed_home} True\n"


def test_a_test_gives_its_own_runtime(tmp_path: Path) -> None:
    own = Runtime.from_environment(actor="mine")
    own.paths = own.paths._replace(state=str(tmp_path / "mine"))
    assert invoke(own).stdout == f"verb {tmp_path / 'mine'} True\n"


def test_the_runtime_is_closed_when_the_invocation_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[Runtime] = []
    monkeypatch.setattr(Runtime, "close", lambda runtime: closed.append(runtime))
    invoke()
    assert len(closed) == 1


def test_sharing_options_costs_click_and_nothing_else() -> None:
    probe = (
        "import sys, agentctl.commands._options; print(*[m for m in sys.modules if m.startswith('agentctl')])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", probe], env=os.environ, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["agentctl", "agentctl.commands", "agentctl.commands._options"]
