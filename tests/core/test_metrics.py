"""What an ending counts, what is shown of it, and the text that Prometheus reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agentctl.core.exposition import Family, Sample, exposition
from agentctl.core.metrics import BUCKETS, Levels, counts_of, families
from agentctl.core.model import Outcome, Session, Status

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SUM = "session_duration_seconds.sum_ms"
LEVELS = Levels(sessions=1, locks_of_sessions=2, locks_of_people=3, fuses=4)


def ended(seconds: float | None, outcome: Outcome = Outcome.SUCCEEDED) -> Session:
    return Session(
        id="x",
        adapter="exec",
        cwd="/",
        status=Status.STOPPED,
        created_at=NOON,
        outcome=outcome,
        started_at=None if seconds is None else NOON,
        ended_at=NOON + timedelta(seconds=seconds or 0),
    )


@pytest.mark.parametrize(
    ("seconds", "bound"),
    [(-5, "60"), (0, "60"), (60, "60"), (60.001, "300"), (7200, "7200"), (7200.001, "+Inf"), (1e6, "+Inf")],
)
def test_an_ending_falls_into_one_bucket(seconds: float, bound: str) -> None:
    assert counts_of(ended(seconds)) == {
        "sessions_total.succeeded": 1,
        f"session_duration_seconds.le.{bound}": 1,
        SUM: round(max(seconds, 0) * 1000),
    }


def test_no_duration_is_made_up() -> None:
    assert counts_of(ended(None, Outcome.FAILED)) == {"sessions_total.failed": 1}
    assert counts_of(ended(9, Outcome.LOST)) == {"sessions_total.lost": 1}
    assert counts_of(ended(9)._replace(outcome=None, status=Status.RUNNING)) == {}


def test_every_series_is_there_before_anything_was_counted() -> None:
    text = exposition(families(LEVELS, {}))
    found = {family.name: family for family in text_string_to_metric_families(text)}
    assert [sample.labels["status"] for sample in found["agentctl_sessions"].samples] == [*Outcome]
    assert [(one.labels["type"], one.value) for one in found["agentctl_locks_active"].samples] == [
        ("auto", 2),
        ("manual", 3),
    ]
    assert all(sample.value == 0 for sample in found["agentctl_session_duration_seconds"].samples)
    assert len(found["agentctl_session_duration_seconds"].samples) == len(BUCKETS) + 3


def test_buckets_add_up() -> None:
    counters: dict[str, int] = {}
    for seconds in (1, 59.5, 61, 500, 10_000):
        for name, by in counts_of(ended(seconds)).items():
            counters[name] = counters.get(name, 0) + by
    text = exposition(families(LEVELS, counters))
    (family,) = (
        one for one in text_string_to_metric_families(text) if one.name == "agentctl_session_duration_seconds"
    )
    buckets = {one.labels["le"]: one.value for one in family.samples if one.name.endswith("_bucket")}
    assert buckets == {
        "60": 2, "300": 3, "600": 4, "1800": 4, "3600": 4, "7200": 4, "+Inf": 5,
    }  # fmt: skip
    assert "agentctl_session_duration_seconds_sum 10621.5\n" in text
    assert "agentctl_session_duration_seconds_count 5\n" in text


def test_hostile_values_are_escaped_and_read_back_the_same() -> None:
    value = 'a"b\\c\nd{e}=",\\n'
    family = Family("m", "gauge", "one\\two\nthree", (Sample("m", {"a": value, "b": ""}, 1.5),))
    text = exposition([family])
    assert text.count("\n") == 3
    (read,) = text_string_to_metric_families(text)
    assert read.documentation == "one\\two\nthree"
    assert read.samples[0].labels == {"a": value, "b": ""}
    assert read.samples[0].value == 1.5


def test_numbers_that_are_none() -> None:
    values = (float("nan"), float("inf"), float("-inf"), 1e21, 0.1)
    text = exposition([Family("m", "gauge", "h", tuple(Sample("m", {}, value) for value in values))])
    shown = [line.split()[1] for line in text.splitlines()[2:]]
    assert shown == ["NaN", "+Inf", "-Inf", "1000000000000000000000", "0.1"]


@pytest.mark.parametrize(
    ("name", "label"), [("1m", "a"), ("m-x", "a"), ("m", "a-b"), ("m", "a:b"), ("", "a")]
)
def test_a_name_that_is_none_is_refused(name: str, label: str) -> None:
    with pytest.raises(ValueError, match="not a valid name for a metric or label"):
        exposition([Family(name, "gauge", "h", (Sample(name, {label: "x"}, 1),))])
