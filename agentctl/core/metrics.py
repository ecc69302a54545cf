"""What is counted when a session ends, and the metrics that are shown of it.

The counts are kept when their sessions are forgotten, so a total never falls. Must not
read the store or the clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

from agentctl.core.exposition import Family, Sample
from agentctl.core.model import Outcome, Session

BUCKETS = (60, 300, 600, 1800, 3600, 7200)
"""Upper bounds in seconds; longer ones fall into the last bucket, which has none."""

_ENDED = "sessions_total."
_LASTED = "session_duration_seconds.le."
_SUM = "session_duration_seconds.sum_ms"
FUSES_EXPIRED = "fuses_expired_total"
BEYOND = "+Inf"


class Levels(NamedTuple):
    """What is true at this moment."""

    sessions: int
    locks_of_sessions: int
    locks_of_people: int
    fuses: int


def counts_of(session: Session) -> dict[str, int]:
    """Counter → by how much this ended session raises it; empty for one that has not ended."""
    if session.outcome is None:
        return {}
    counts = {_ENDED + session.outcome: 1}
    lasted = _lasted(session)
    if lasted is not None:
        bound = next((str(bound) for bound in BUCKETS if lasted <= timedelta(seconds=bound)), BEYOND)
        counts |= {_LASTED + bound: 1, _SUM: lasted // timedelta(milliseconds=1)}
    return counts


def families(levels: Levels, counters: Mapping[str, int]) -> tuple[Family, ...]:
    """Every metric, each with all its samples, in a fixed order; what was never counted is 0."""
    locks = (("auto", levels.locks_of_sessions), ("manual", levels.locks_of_people))
    return (
        _gauge(
            "agentctl_sessions_active", "Sessions launched by agentctl that have not ended.", levels.sessions
        ),
        Family(
            "agentctl_sessions_total",
            "counter",
            "Sessions that have ended, by outcome.",
            tuple(
                Sample("agentctl_sessions_total", {"status": outcome}, counters.get(_ENDED + outcome, 0))
                for outcome in Outcome
            ),
        ),
        Family(
            "agentctl_locks_active",
            "gauge",
            "Locks on directories: auto of sessions, manual of people.",
            tuple(Sample("agentctl_locks_active", {"type": kind}, count) for kind, count in locks),
        ),
        _gauge("agentctl_fuses_active", "Armed fuses of sessions and directories.", levels.fuses),
        Family(
            "agentctl_fuses_expired_total",
            "counter",
            "Fuses that have fired.",
            (Sample("agentctl_fuses_expired_total", {}, counters.get(FUSES_EXPIRED, 0)),),
        ),
        _durations(counters),
    )


def _gauge(name: str, text: str, value: int) -> Family:
    return Family(name, "gauge", text, (Sample(name, {}, value),))


def _durations(counters: Mapping[str, int]) -> Family:
    name = "agentctl_session_duration_seconds"
    samples = []
    below = 0
    for bound in (*map(str, BUCKETS), BEYOND):
        below += counters.get(_LASTED + bound, 0)
        samples.append(Sample(f"{name}_bucket", {"le": bound}, below))
    samples.append(Sample(f"{name}_sum", {}, counters.get(_SUM, 0) / 1000))
    samples.append(Sample(f"{name}_count", {}, below))
    text = "How long ended sessions ran; without those that never began and those whose end nobody saw."
    return Family(name, "histogram", text, tuple(samples))


def _lasted(session: Session) -> timedelta | None:
    """From its start to its end, None where one of them is not known."""
    if session.outcome is Outcome.LOST or session.started_at is None or session.ended_at is None:
        return None
    return max(session.ended_at - session.started_at, timedelta())
