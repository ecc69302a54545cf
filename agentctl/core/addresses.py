"""Web addresses: which can be posted to, and how one is shown without its secrets."""

from __future__ import annotations

import re

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


def without_secrets(address: str) -> str:
    """An address to be shown: without who posts there, and without its query, which may be a token."""
    return re.sub(r"\?.*", "?***", re.sub(r"^(https?://)[^/?#]*@", r"\1***@", address))
