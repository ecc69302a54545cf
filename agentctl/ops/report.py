"""What a live agent reports of itself right now, and the evidence behind a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agentctl.adapters import registry
from agentctl.core.decide import decide, learn
from agentctl.core.model import Observation, Verdict
from agentctl.errors import AdapterUnavailable
from agentctl.ops.find import Found
from agentctl.ops.observe import listing_of, observe, report_of
from agentctl.runtime import Runtime


def refreshed(runtime: Runtime, one: Found) -> Found:
    """A live tracked session with its agent's latest tokens, model and last word; others as they are."""
    if one.is_external or one.session.is_final or one.log_path is None:
        return one
    try:
        result = registry.load(one.session.adapter).result(one.session, one.log_path)
    except AdapterUnavailable:
        return one
    return one._replace(session=learn(one.session, result))


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a session has the status it has."""

    found: Found
    verdict: Verdict | None
    seen: Observation | None
    at: datetime


def explain(runtime: Runtime, one: Found) -> Explanation:
    """Look at a session once more and decide, without writing anything."""
    now = runtime.clock()
    if one.is_external:
        return Explanation(found=one, verdict=None, seen=None, at=now)
    files = runtime.paths.session(one.session.id)
    seen = observe(one.session, one.fuse, files, now)
    if one.session.is_final:
        seen = seen._replace(result=report_of(one.session, files, ended=True))
    else:
        seen = seen._replace(listing=listing_of(one.session))
    return Explanation(found=one, verdict=decide(one.session, one.fuse, seen, now), seen=seen, at=now)
