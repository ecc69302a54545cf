"""Where a post goes and how it is signed, stored without an address or a secret.

The state holds a *wish*: the host to be read by people, and fingerprints of what the environment
had. Whoever has the same values can make the post, so it does not depend on who records the end;
anybody else leaves it waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from agentctl.core import variables
from agentctl.core.addresses import AS_CONFIGURED, without_secrets
from agentctl.core.ids import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agentctl.runtime import Runtime

ADDRESS, SECRET = "address=", "secret="


class Post(NamedTuple):
    """Where to post, and the key that signs what is posted."""

    url: str
    secret: str | None


class Waits(NamedTuple):
    """Why this process cannot make the post."""

    reason: str


def wish(environ: Mapping[str, str]) -> str:
    """What a launch wants of its posts beyond the configuration file; empty if nothing."""
    words = []
    if url := environ.get(variables.WEBHOOK_URL):
        words += [without_secrets(url), ADDRESS + fingerprint(url)]
    if secret := environ.get(variables.WEBHOOK_SECRET):
        words.append(SECRET + fingerprint(secret))
    return " ".join(words)


def target(runtime: Runtime, wanted: str | None) -> str | None:
    """What to store as the target of a post; None if nobody gave an address.

    `wanted` is the wish of the session's launch; None if none was recorded, and then what
    this process has counts.
    """
    wanted = wish(runtime.environ) if wanted is None else wanted
    if _marked(wanted, ADDRESS) is None:
        url = runtime.shared_settings.webhook_url
        if url is None:
            return None
        wanted = f"{without_secrets(url)} {wanted}"
    return f"{AS_CONFIGURED} {wanted}".rstrip()


def resolve(runtime: Runtime, stored: str) -> Post | Waits | None:
    """What a stored target means here and now; None if no address is configured any more."""
    if not stored.startswith(AS_CONFIGURED):
        return Post(stored, runtime.settings.webhook_secret)
    ours, file = runtime.settings, runtime.shared_settings
    url, secret = file.webhook_url, file.webhook_secret
    if (mark := _marked(stored, ADDRESS)) is not None:
        url = _matching(mark, ours.webhook_url, url)
        if url is None:
            return Waits(f"waits for a call with the same {variables.WEBHOOK_URL} as the launch had")
    if (mark := _marked(stored, SECRET)) is not None:
        secret = _matching(mark, ours.webhook_secret, secret)
        if secret is None:
            return Waits(f"waits for a call with the same {variables.WEBHOOK_SECRET} as the launch had")
    return None if url is None else Post(url, secret)


def _marked(words: str, mark: str) -> str | None:
    return next((word.removeprefix(mark) for word in words.split() if word.startswith(mark)), None)


def _matching(mark: str, *values: str | None) -> str | None:
    return next((value for value in values if value and fingerprint(value) == mark), None)
