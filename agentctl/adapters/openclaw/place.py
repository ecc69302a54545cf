"""Where the gateway is, and its secret: from the environment, then from OpenClaw's own configuration.

Reads one file. A secret stays inside `Place`: no address, message or `repr` contains it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from agentctl.adapters.reading import open_regular
from agentctl.adapters.values import integer, mapping, string
from agentctl.errors import AdapterUnavailable

PORT = 18789
CONFIG = "openclaw.json"
CONFIG_LIMIT = 4 * 1024 * 1024

JSON5_LIMIT = 64 * 1024
"""Bytes of a configuration that is not plain JSON: the JSON5 parser takes a second for as many."""

INSTALL_EXTRA = 'install it: pip install "agentctl[openclaw]"'

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Kind(StrEnum):
    """What OpenClaw calls a secret."""

    TOKEN = "token"  # noqa: S105  (a name)
    PASSWORD = "password"  # noqa: S105  (a name)


class Secret(NamedTuple):
    """A shared secret of the gateway."""

    kind: Kind
    value: str

    def __repr__(self) -> str:
        return f"Secret({self.kind})"


class Place(NamedTuple):
    """A gateway: its WebSocket address, without any credential in it, and its secret."""

    address: str
    secret: Secret | None
    problem: str | None = None
    """Why no secret could be read, if the configuration seems to hold one."""


def find(environ: Mapping[str, str]) -> Place | None:
    """The gateway of this environment; None if nothing mentions OpenClaw."""
    if url := environ.get("OPENCLAW_GATEWAY_URL"):
        # As in OpenClaw: whoever names another gateway gives its credentials, too.
        return Place(_cleaned(url), _from_environment(environ) or _fallback(environ))
    path = config_path(environ)
    if path is None or not os.path.exists(path):
        secret = _from_environment(environ) or _fallback(environ)
        return Place(_local(environ, None), secret) if secret else None
    config, problem = _read(path)
    gateway = mapping(config.get("gateway"))
    secret, unreadable = _secret(gateway, environ)
    remote = string(mapping(gateway.get("remote")).get("url"))
    is_remote = gateway.get("mode") == "remote" and remote
    address = _cleaned(remote or "") if is_remote else _local(environ, gateway.get("port"))
    return Place(address, secret, None if secret else problem or unreadable)


def config_path(environ: Mapping[str, str]) -> str | None:
    """OpenClaw's configuration file; None without a home."""
    if path := environ.get("OPENCLAW_CONFIG_PATH"):
        return path
    if state := environ.get("OPENCLAW_STATE_DIR"):
        return os.path.join(state, CONFIG)
    home = environ.get("OPENCLAW_HOME") or environ.get("HOME")
    return os.path.join(home, ".openclaw", CONFIG) if home else None


@lru_cache(maxsize=1)
def parse(text: str) -> Any:
    """A JSON5 document. Raises ValueError, and AdapterUnavailable without the package that reads one.

    Most are plain JSON, which is read a hundred times faster. One invocation reads the same file twice.
    """
    try:
        return json.loads(text, strict=False)
    except ValueError:
        if len(text) > JSON5_LIMIT:
            raise
    try:
        import json5
    except ImportError as error:
        raise AdapterUnavailable(
            "openclaw: its configuration is JSON5, which needs the package json5", hint=INSTALL_EXTRA
        ) from error
    return json5.loads(text, strict=False)


def _read(path: str) -> tuple[Mapping[str, Any], str | None]:
    """The configuration, or what keeps it from being read."""
    try:
        with open_regular(path) as file:
            content = parse(file.read(CONFIG_LIMIT).decode())
    except OSError as error:
        return {}, f"{path} cannot be read: {error.strerror}"
    except (ValueError, RecursionError):
        return {}, f"{path} cannot be read: it is not valid JSON5"
    return mapping(content), None


def _local(environ: Mapping[str, str], configured: object) -> str:
    given = environ.get("OPENCLAW_GATEWAY_PORT", "")
    port = int(given) if given.isascii() and given.isdigit() else integer(configured)
    return f"ws://127.0.0.1:{port if port and 0 < port < 65536 else PORT}"


def _cleaned(url: str) -> str:
    """The address alone: WebSocket scheme, host, port, path. Raises AdapterUnavailable for anything else."""
    from urllib.parse import urlsplit

    scheme, separator, rest = url.strip().partition("://")
    scheme = {"http": "ws", "https": "wss"}.get(scheme.lower(), scheme.lower())
    try:
        parts = urlsplit(f"{scheme}{separator}{rest}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if scheme not in ("ws", "wss") or not host or not url.isprintable():
        raise AdapterUnavailable(
            "openclaw: the gateway's address is not a ws, wss, http or https URL",
            hint="set OPENCLAW_GATEWAY_URL, for example to ws://127.0.0.1:18789",
        )
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def _from_environment(environ: Mapping[str, str]) -> Secret | None:
    for kind in Kind:
        if value := environ.get(f"OPENCLAW_GATEWAY_{kind.upper()}"):
            return Secret(kind, value)
    return None


def _fallback(environ: Mapping[str, str]) -> Secret | None:
    """The token that the TypeScript agentctl took: used if OpenClaw has no token of its own."""
    value = environ.get("OPENCLAW_WEBHOOK_TOKEN")
    return Secret(Kind.TOKEN, value) if value else None


def _secret(gateway: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[Secret | None, str | None]:
    """The secret in OpenClaw's own order, or why the configured one cannot be used."""
    auth, remote = mapping(gateway.get("auth")), mapping(gateway.get("remote"))
    kinds = [*reversed(Kind)] if auth.get("mode") == Kind.PASSWORD else [*Kind]
    first, last = (remote, auth) if gateway.get("mode") == "remote" else (auth, remote)
    for table in (first, None, last):
        if table is None:
            if secret := _from_environment(environ):
                return secret, None
            continue
        for kind in kinds:
            if value := _value(table.get(kind), environ):
                return Secret(kind, value), None
    if secret := _fallback(environ):
        return secret, None
    if any(isinstance(table.get(kind), dict) for table in (first, last) for kind in kinds):
        return None, "its token is kept outside its configuration (a SecretRef)"
    return None, None


def _value(configured: object, environ: Mapping[str, str]) -> str | None:
    """A secret written out, or as the name of a variable: `${NAME}`."""
    text = string(configured)
    named = _VARIABLE.fullmatch(text) if text else None
    return environ.get(named[1]) if named else text
