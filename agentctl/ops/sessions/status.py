"""What a live agent reports of itself right now: `status`."""

from __future__ import annotations

from agentctl.adapters import registry
from agentctl.core.learning import learn
from agentctl.errors import AdapterUnavailable
from agentctl.ops.found import Found
from agentctl.runtime import Runtime


def refreshed(runtime: Runtime, one: Found) -> Found:
    """A live tracked session with its agent's latest tokens, model and last word; others as they are."""
    if one.is_external or one.session.is_final or one.log_path is None:
        return one
    try:
        result = registry.load(one.session.adapter).result(one.session, one.log_path)
    except AdapterUnavailable:
        return one
    return one._replace(verdict=one.verdict._replace(session=learn(one.session, result)))
