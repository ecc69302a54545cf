"""`agentctl metrics`: valid by Prometheus's own rules, true, and lasting."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agentctl.core.model import Held
from agentctl.host import flock
from tests.planting import sealed

Run = Callable[..., Any]
Wait = Callable[..., Any]

SERIES = re.compile(
    r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)"
    r"(?P<labels>\{(?:[a-zA-Z_][a-zA-Z0-9_]*=\"(?:[^\"\\\n]|\\[\\\"n])*\",?)*\})? (?P<value>\S+)"
)


def checked(text: str) -> dict[str, float]:
    """Series → value, of a text that keeps every rule that `promtool check metrics` has."""
    assert text.endswith("\n")
    types: dict[str, str] = {}
    helps: set[str] = set()
    values: dict[str, float] = {}
    family = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family, told = line.removeprefix("# HELP ").split(" ", 1)
            assert told.strip(), line
            assert family not in helps, f"a second HELP: {line}"
            helps.add(family)
        elif line.startswith("# TYPE "):
            name, kind = line.removeprefix("# TYPE ").split(" ")
            assert name == family, f"TYPE does not follow its HELP: {line}"
            assert name not in types, f"a second TYPE: {line}"
            types[name] = kind
            assert (kind == "counter") == name.endswith("_total"), f"only counters end in _total: {line}"
        else:
            match = SERIES.fullmatch(line)
            assert match, line
            suffixes = ("", "_bucket", "_sum", "_count") if types[family] == "histogram" else ("",)
            assert match["name"] in [family + suffix for suffix in suffixes], f"out of its group: {line}"
            series = match["name"] + (match["labels"] or "")
            assert series not in values, f"twice: {line}"
            values[series] = float(match["value"])
    for name in (name for name, kind in types.items() if kind == "histogram"):
        buckets = [value for series, value in values.items() if series.startswith(f"{name}_bucket")]
        assert buckets == sorted(buckets), "buckets are cumulative"
        assert values[f'{name}_bucket{{le="+Inf"}}'] == values[f"{name}_count"] == buckets[-1]
    assert len(list(text_string_to_metric_families(text))) == len(types), "the reference parser agrees"
    return values


def shown(run: Run) -> dict[str, float]:
    return checked(run("metrics").stdout)


def total(values: dict[str, float], status: str) -> float:
    return values[f'agentctl_sessions_total{{status="{status}"}}']


def test_nothing_yet_is_all_zero(run: Run) -> None:
    assert set(shown(run).values()) == {0}


def test_what_is_going_on_and_what_has_ended(run: Run, tmp_path: Path) -> None:
    for name in "abcd":
        (tmp_path / name).mkdir()
    run(f"launch exec --wait --cwd {tmp_path}/a -- true")
    run(f"launch exec --wait --cwd {tmp_path}/a -- false", exit=1)
    live = run(f"launch exec --cwd {tmp_path}/b -- sleep 60").stdout.strip()
    run(f"launch exec --cwd {tmp_path}/c --no-fuse --name doomed -- sleep 60")
    run(f"lock {tmp_path}/d")
    run(f"fuse set {tmp_path}/d --for 1h")
    before = shown(run)
    assert before["agentctl_sessions_active"] == 2
    assert before['agentctl_locks_active{type="auto"}'] == 2
    assert before['agentctl_locks_active{type="manual"}'] == 1
    assert before["agentctl_fuses_active"] == 2
    assert (total(before, "succeeded"), total(before, "failed"), total(before, "cancelled")) == (1, 1, 0)
    run(f"stop doomed {live}")
    after = shown(run)
    assert after["agentctl_sessions_active"] == 0
    assert after['agentctl_locks_active{type="auto"}'] == 0
    assert after["agentctl_fuses_active"] == 1
    assert total(after, "cancelled") == 2
    assert after["agentctl_session_duration_seconds_count"] == 4
    assert after['agentctl_session_duration_seconds_bucket{le="60"}'] == 4
    told = [one["duration_ms"] for one in run("list -a --json").json()["sessions"]]
    assert after["agentctl_session_duration_seconds_sum"] == pytest.approx(sum(told) / 1000, abs=0.005)


def test_one_that_never_began_counts_and_has_no_duration(run: Run) -> None:
    run("launch exec --on-create false -- true", exit=1)
    values = shown(run)
    assert total(values, "failed") == 1
    assert values["agentctl_session_duration_seconds_count"] == 0


def test_a_fuse_that_fired_counts_once(run: Run, tmp_path: Path, wait_until: Wait) -> None:
    run(f"fuse set {tmp_path} --for 50ms")
    wait_until(lambda: shown(run)["agentctl_fuses_expired_total"] == 1)
    run("list")
    values = shown(run)
    assert (values["agentctl_fuses_expired_total"], values["agentctl_fuses_active"]) == (1, 0)


def test_many_that_see_an_ending_at_once_count_it_once(
    run: Run, run_real: Run, tmp_path: Path, wait_until: Wait
) -> None:
    session = run(
        f"launch exec --cwd {tmp_path} -- sh -c 'until [ -e {tmp_path}/go ]; do sleep 0.02; done'"
    ).stdout.strip()
    threads = [threading.Thread(target=run_real, args=(f"wait {session}",)) for _ in range(6)]
    for thread in threads:
        thread.start()
    (tmp_path / "go").touch()
    for thread in threads:
        thread.join()
    values = shown(run)
    assert (total(values, "succeeded"), values["agentctl_session_duration_seconds_count"]) == (1, 1)


def test_totals_survive_prune_and_a_rebuild(
    run: Run, tmp_path: Path, sealed_home: Path, wait_until: Wait
) -> None:
    for code in (0, 1):
        run(f"launch exec --wait --cwd {tmp_path} -- sh -c 'exit {code}'", exit=code)
    for each in run("list -a -q").lines:
        path = sealed_home / "sessions" / each / "lock"
        wait_until(lambda path=path: flock.probe(str(path)) is Held.NO)
    before = shown(run)
    run("prune --older-than 0s")
    assert run("list -a -q").stdout == ""
    assert shown(run) == before
    run("doctor --rebuild --force")
    assert shown(run) == before


def test_totals_of_a_lost_database_are_made_again_of_the_sessions_at_hand(
    run: Run, tmp_path: Path, sealed_home: Path, wait_until: Wait
) -> None:
    session = run(f"launch exec --wait --cwd {tmp_path} -- true").lines[0]
    path = sealed_home / "sessions" / session / "lock"
    wait_until(lambda: flock.probe(str(path)) is Held.NO)
    before = shown(run)
    for suffix in ("", "-wal", "-shm"):
        (sealed_home / f"agentctl.db{suffix}").unlink(missing_ok=True)
    told = run("doctor --rebuild").stderr
    assert "totals of the metrics, of sessions that were forgotten" in told
    assert shown(run) == before


def test_a_state_that_cannot_be_written_is_told_of_all_the_same(run: Run, sealed_home: Path) -> None:
    run("launch exec --wait -- true")
    run(f"lock {sealed_home.parent} --for 1h")
    before = run("metrics").stdout
    with sealed(sealed_home):
        assert run("metrics").stdout == before


def test_the_document_says_the_same(run: Run, tmp_path: Path) -> None:
    run(f"launch exec --wait --cwd {tmp_path} -- true")
    values = shown(run)
    told = run("metrics --json").json()
    assert told["schema_version"] == 1
    rebuilt = {}
    for family in told["metrics"]:
        assert set(family) == {"name", "type", "help", "samples"}
        for sample in family["samples"]:
            labels = ",".join(f'{name}="{value}"' for name, value in sample["labels"].items())
            rebuilt[sample["name"] + (f"{{{labels}}}" if labels else "")] = sample["value"]
    assert rebuilt == values


# --output


def test_the_file_is_readable_by_all_and_never_half_written(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "collector" / "agentctl.prom"
    target.parent.mkdir()
    old = os.umask(0o077)
    try:
        assert run(f"metrics --output {target}").stdout == ""
        assert target.stat().st_mode & 0o777 == 0o644
        first = target.stat().st_ino
        checked(target.read_text())
        run(f"metrics -o {target}")
    finally:
        os.umask(old)
    assert target.stat().st_ino != first, "replaced, not rewritten"
    assert [path.name for path in target.parent.iterdir()] == ["agentctl.prom"]


def test_a_link_stays_one(run: Run, tmp_path: Path) -> None:
    (tmp_path / "link.prom").symlink_to("real.prom")
    run(f"metrics --output {tmp_path}/link.prom")
    assert (tmp_path / "link.prom").is_symlink()
    checked((tmp_path / "real.prom").read_text())


def test_where_it_cannot_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    assert "no directory" in run(f"metrics --output {tmp_path}/none/x.prom", exit=10).stderr
    assert "names no file" in run(f"metrics --output {tmp_path}", exit=2).stderr
    assert "not a regular file" in run(f"metrics --output {tmp_path}/pipe", exit=2).stderr
    assert "cannot be written" in run(f"metrics --output {tmp_path}/file/x.prom", exit=1).stderr
    assert "cannot be used together" in run(f"metrics --json --output {tmp_path}/x", exit=2).stderr
    (tmp_path / "old.prom").write_text("old")
    with sealed(tmp_path):
        run(f"metrics --output {tmp_path}/old.prom", exit=1)
    assert (tmp_path / "old.prom").read_text() == "old"
    assert not list(tmp_path.glob("*.new"))
