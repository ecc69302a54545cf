"""Posts one webhook. Signs it; never follows a redirect to another place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Posted:
    """`error` is None if the receiver answered with a 2xx status."""

    error: str | None


def post(url: str, body: bytes, *, headers: Mapping[str, str], secret: str | None, limit: float) -> Posted:
    """POST a JSON body. Any failure is returned as one clause, never raised."""
    import http.client
    import urllib.error
    import urllib.request

    all_headers = {"Content-Type": "application/json", **headers}
    if secret:
        all_headers |= signatures(body, secret)

    class NoRedirect(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *arguments: object, **named: object) -> None:
            return None

    try:
        request = urllib.request.Request(url, data=body, headers=all_headers, method="POST")  # noqa: S310
        if request.type not in ("http", "https"):
            return Posted(f"not an http or https address: {request.type}")
        # The status says all: a body that trickles in would outlast the limit, which is for one read.
        urllib.request.build_opener(NoRedirect).open(request, timeout=limit).close()
    except urllib.error.HTTPError as error:
        with error:
            return Posted(f"the receiver answered {error.code}")
    except (OSError, ValueError, http.client.HTTPException) as error:
        return Posted(str(getattr(error, "reason", None) or error) or type(error).__name__)
    return Posted(None)


def signatures(body: bytes, secret: str) -> dict[str, str]:
    """HMAC-SHA256 of the body under the three names that receivers look for."""
    import hashlib
    import hmac

    digest = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return dict.fromkeys(("X-Agentctl-Signature", "X-Signature", "X-Hub-Signature-256"), digest)
