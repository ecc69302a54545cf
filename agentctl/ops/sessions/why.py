"""The evidence behind a verdict, looked at once more: `why`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agentctl.core.decide import decide
from agentctl.core.model import Observation
from agentctl.ops.found import Found
from agentctl.ops.reconcile.observe import listing_of, observe, report_of
from agentctl.runtime import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why a session has the status it has."""

    found: Found
    seen: Observation | None
    """None for an external session, which has no files of agentctl to look at."""
    at: datetime


def explain(runtime: Runtime, one: Found) -> Explanation:
    """Look at a session once more and decide, without writing anything."""
    now = runtime.clock()
    if one.is_external:
        return Explanation(found=one, seen=None, at=now)
    files = runtime.paths.session(one.session.id)
    seen = observe(one.session, one.fuse, files, now)
    if one.session.is_final:
        seen = seen._replace(result=report_of(one.session, files, ended=True))
    else:
        seen = seen._replace(listing=listing_of(one.session))
    verdict = decide(one.session, one.fuse, seen, now)
    return Explanation(found=one._replace(verdict=verdict), seen=seen, at=now)
