"""Posts one webhook, signed. Never follows a redirect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentctl.host.waiting import within

if TYPE_CHECKING:
    from urllib.request import Request


UNUSABLE = "not an address that can be posted to"
"""Python's own words would repeat the address, which may hold a token."""


@dataclass(frozen=True, slots=True)
class Posted:
    """`error` is None if the receiver answered with a 2xx status."""

    error: str | None


def post(url: str, body: bytes, *, headers: Mapping[str, str], secret: str | None, limit: float) -> Posted:
    """POST a JSON body within `limit` seconds in all. A failure is returned as one clause, never raised."""
    import urllib.request

    url, credentials = _without_credentials(url)
    all_headers = {"Content-Type": "application/json", **credentials, **headers}
    if secret:
        all_headers |= signatures(body, secret)
    try:
        request = urllib.request.Request(url, data=body, headers=all_headers, method="POST")  # noqa: S310
    except ValueError:
        return Posted(UNUSABLE)
    if request.type not in ("http", "https"):
        return Posted(UNUSABLE)
    # The socket's time-out covers a single read, and nothing covers the look-up of the address:
    # a receiver that trickles its headers would keep every other delivery waiting.
    posted = within(limit, lambda: _send(request, limit))
    return posted or Posted(f"timed out: no answer within {limit:g} s")


def _without_credentials(url: str) -> tuple[str, dict[str, str]]:
    """The address without `user:password@`, which urllib takes for a host's name, and the header for it."""
    import base64
    from urllib.parse import unquote, urlsplit

    try:
        parts = urlsplit(url)
    except ValueError:
        return url, {}
    who, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    user, _, password = who.partition(":")
    pair = f"{unquote(user)}:{unquote(password)}".encode()
    header = {"Authorization": "Basic " + base64.b64encode(pair).decode()}
    return parts._replace(netloc=host).geturl(), header


def _send(request: Request, limit: float) -> Posted:
    import http.client
    import urllib.error
    import urllib.request

    class NoRedirect(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *arguments: object, **named: object) -> None:
            return None

    try:
        # The status is enough: the body is not read.
        urllib.request.build_opener(NoRedirect).open(request, timeout=limit).close()
    except urllib.error.HTTPError as error:
        with error:
            return Posted(f"the receiver answered {error.code}")
    except (ValueError, http.client.InvalidURL):
        return Posted(UNUSABLE)
    except (OSError, http.client.HTTPException) as error:
        return Posted(str(getattr(error, "reason", None) or error) or type(error).__name__)
    return Posted(None)


def signatures(body: bytes, secret: str) -> dict[str, str]:
    """HMAC-SHA256 of the body under the three names that receivers look for."""
    import hashlib
    import hmac

    # An environment's bytes need not be UTF-8.
    digest = "sha256=" + hmac.new(secret.encode("utf-8", "surrogateescape"), body, hashlib.sha256).hexdigest()
    return dict.fromkeys(("X-Agentctl-Signature", "X-Signature", "X-Hub-Signature-256"), digest)
