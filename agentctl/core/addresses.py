"""Web addresses: which can be posted to, and how one is shown without its secrets."""

from __future__ import annotations

import re

AS_CONFIGURED = "as configured"
"""How the stored target of a post begins whose address is not stored."""

_ADDRESS = (
    r"https?://(?:[!-~]*@)?"
    r"(?:\[[0-9A-Fa-f:.]+\]|[^\[\]/?#:@\s]+)"  # host
    r"(?::(\d{1,5}))?"
    r"(?:[/?#][!-~]*)?"
)


def is_web_address(text: str) -> bool:
    """An http or https address that can be posted to: a host, perhaps a port, nothing but visible ASCII."""
    found = re.fullmatch(_ADDRESS, text)
    return found is not None and text.isascii() and int(found[1] or 0) <= 65535


def as_given(target: str | None) -> str | None:
    """An address that a person gave, as it is; of one from the environment, what may be shown."""
    return target if target is None or is_web_address(target) else without_secrets(target)


def without_secrets(address: str) -> str:
    """An address to be shown: scheme and host, for path, query and user may be or hold a token.

    Of a target in the outbox that names no address, all but its fingerprints.
    """
    if address.startswith(AS_CONFIGURED):
        return " ".join(word for word in address.split() if "=" not in word)
    return re.sub(r"^(https?://)(?:[^/?#]*@)?([^/?#]*).*", r"\1\2", address, flags=re.DOTALL)
