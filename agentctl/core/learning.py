"""What a row keeps of an agent's own report."""

from __future__ import annotations

from agentctl.core.model import Result, Session, Tokens


def learn(session: Session, result: Result) -> Session:
    """Keep what the agent reports of itself; what it does not say leaves the row as it is."""
    if result == Result():
        return session
    return session._replace(
        native_id=session.native_id or result.native_id,
        model=result.model or session.model,
        tokens=result.tokens if result.tokens != Tokens() else session.tokens,
        cost_usd=session.cost_usd if result.cost_usd is None else result.cost_usd,
        turns=session.turns if result.turns is None else result.turns,
        result=result.text or session.result,
        notes=tuple(dict.fromkeys((*session.notes, *result.notes))),
        transcript_path=result.transcript_path or session.transcript_path,
        adapter_version=result.adapter_version or session.adapter_version,
    )
