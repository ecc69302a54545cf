"""`agentctl config`: show and change settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from agentctl.commands._options import json_option, pass_runtime
from agentctl.core.settings import ADAPTER_SCHEMA, SCHEMA

if TYPE_CHECKING:
    from agentctl.ops.settings.config import Change, Setting
    from agentctl.runtime import Runtime

_KEYS = (*SCHEMA, *ADAPTER_SCHEMA)
_WIDTH = max(len(key.name) for key in _KEYS)
_LISTED = "\n".join(f"  {key.name.ljust(_WIDTH)}  {key.help}" for key in _KEYS)
_VARIABLES = "\n".join(f"  {key.variable}" for key in SCHEMA if key.variable)

key_argument = click.argument("key")


@click.group(
    "config",
    epilog=f"""\b
Settings:
{_LISTED}

\b
Environment variables that override the file:
{_VARIABLES}

\b
Examples:
  agentctl config set defaults.fuse 2h
  agentctl config set hooks.on_complete 'notify-send "$AGENTCTL_NAME $AGENTCTL_OUTCOME"'
  agentctl config set adapters.opencode.args -- --variant high
""",
)
def command() -> None:
    """Show and change settings.

    Settings are in one TOML file. You may edit it by hand as well: changes made here keep
    its comments and its order. A mistake in it is reported with its line number.
    """


@command.command()
@json_option
@pass_runtime
def path(runtime: Runtime, as_json: bool) -> None:
    """Print the path of the configuration file."""
    from agentctl.documents import document
    from agentctl.ops.settings import config as configure

    where = runtime.paths.config_file
    click.echo(document(path=where, exists=configure.exists(runtime)) if as_json else where)


@command.command()
@key_argument
@json_option
@pass_runtime
def get(runtime: Runtime, key: str, as_json: bool) -> None:
    """Print one setting, or its default.

    A list is printed one item per line. A setting with neither a value nor a default prints
    nothing. Secrets are printed too.

    \b
    Exit status: 0 printed, 2 the file is not valid TOML, 10 no such setting.
    """
    from agentctl.documents import document
    from agentctl.ops.settings import config as configure

    setting = configure.one(runtime, key)
    if as_json:
        click.echo(document(**_fields(setting, secret=setting.value)))
    elif setting.value is not None:
        click.echo(_plain(setting.value, "\n"))


@command.command("set")
@key_argument
@click.argument("values", metavar="VALUE...", nargs=-1, required=True)
@json_option
@pass_runtime
def set_(runtime: Runtime, key: str, values: tuple[str, ...], as_json: bool) -> None:
    """Write one setting to the file.

    Several values make a list, for settings that take one. The file keeps its comments, and
    only its owner can read it.

    \b
    Exit status: 0 written, 2 the setting does not take this value, 10 no such setting.
    """
    from agentctl.ops.settings import config as configure

    _report(configure.change(runtime, key, values), as_json=as_json)


@command.command()
@key_argument
@json_option
@pass_runtime
def unset(runtime: Runtime, key: str, as_json: bool) -> None:
    """Remove one setting from the file.

    Removing a setting that is not in the file is fine. A misspelt setting can be removed,
    too.

    \b
    Exit status: 0 the setting is not in the file (any more), 10 no such setting.
    """
    from agentctl.ops.settings import config as configure

    _report(configure.remove(runtime, key), as_json=as_json)


@command.command()
@json_option
@pass_runtime
def show(runtime: Runtime, as_json: bool) -> None:
    """List all settings, their values and where each comes from.

    A secret is shown as "set", an address without its password and query; `config get`
    prints them in full.

    \b
    Exit status: 0 shown, 2 something in the file is wrong.
    """
    from agentctl.documents import document
    from agentctl.ops.settings import config as configure

    settings = configure.every(runtime)
    if as_json:
        listed = [_fields(_public(setting), secret=None) for setting in settings]
        click.echo(document(path=runtime.paths.config_file, settings=listed))
        return
    from agentctl.render import table

    rows = [(setting.key, _shown(_public(setting)), setting.source) for setting in settings]
    click.echo(table(("KEY", "VALUE", "SOURCE"), rows))


def _public(setting: Setting) -> Setting:
    """The setting with an address that can be shown to others."""
    from dataclasses import replace

    from agentctl.core.addresses import without_secrets

    if setting.key != "webhook.url" or setting.value is None:
        return setting
    return replace(setting, value=without_secrets(setting.value))


def _fields(setting: Setting, *, secret: Any) -> dict[str, Any]:
    return {
        "key": setting.key,
        "value": secret if setting.is_secret else setting.value,
        "is_set": setting.value is not None,
        "default": setting.default,
        "source": setting.source,
        "help": setting.help,
    }


def _shown(setting: Setting) -> str | None:
    if setting.value is None:
        return None
    return "set" if setting.is_secret else _plain(setting.value, " ")


def _plain(value: Any, separator: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return separator.join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _report(change: Change, *, as_json: bool) -> None:
    if as_json:
        from agentctl.documents import document

        click.echo(document(key=change.key, path=change.path, changed=change.changed))
    elif change.overridden_by:
        click.echo(f"agentctl: {change.overridden_by} is set and overrides {change.key}", err=True)
