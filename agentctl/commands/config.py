"""`agentctl config`: show and change settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from agentctl.commands._options import json_option, pass_runtime
from agentctl.core.settings import ADAPTER_SCHEMA, SCHEMA

if TYPE_CHECKING:
    from agentctl.ops.settings.config import Change, Setting
    from agentctl.runtime import Runtime

_WIDTH = max(len(key.name) for key in (*SCHEMA, *ADAPTER_SCHEMA))
_LISTED = "\n".join(f"  {key.name.ljust(_WIDTH)}  {key.help}" for key in (*SCHEMA, *ADAPTER_SCHEMA))

key_argument = click.argument("key")


@click.group(
    "config",
    epilog=f"""\b
Settings:
{_LISTED}

\b
Environment variables that beat the file:
  AGENTCTL_ADAPTER, AGENTCTL_FUSE, AGENTCTL_WEBHOOK_URL, AGENTCTL_WEBHOOK_SECRET

\b
Examples:
  agentctl config set defaults.fuse 2h
  agentctl config set hooks.on_complete 'notify-send "$AGENTCTL_NAME $AGENTCTL_OUTCOME"'
  agentctl config set adapters.opencode.args -- --variant high
""",
)
def command() -> None:
    """Show and change settings.

    Settings are kept in one TOML file, which may be edited by hand as well: its comments
    and order are kept. A mistake in it is reported with its line.
    """


@command.command()
@json_option
@pass_runtime
def path(runtime: Runtime, as_json: bool) -> None:
    """Print where the configuration file is."""
    from agentctl import render
    from agentctl.ops.settings import config as configure

    where = runtime.paths.config_file
    click.echo(render.document(path=where, exists=configure.exists(runtime)) if as_json else where)


@command.command()
@key_argument
@json_option
@pass_runtime
def get(runtime: Runtime, key: str, as_json: bool) -> None:
    """Print one setting, or its default.

    A list is printed one item a line; a setting without value and default prints nothing.
    Secrets are printed too.

    \b
    Exit status: 0 printed, 2 the file is not valid TOML, 10 no such setting.
    """
    from agentctl import render
    from agentctl.ops.settings import config as configure

    setting = configure.one(runtime, key)
    if as_json:
        click.echo(render.document(**_fields(setting, secret=setting.value)))
    elif setting.value is not None:
        click.echo(_plain(setting.value, "\n"))


@command.command("set")
@key_argument
@click.argument("values", metavar="VALUE...", nargs=-1, required=True)
@json_option
@pass_runtime
def set_(runtime: Runtime, key: str, values: tuple[str, ...], as_json: bool) -> None:
    """Write one setting into the file.

    Several values make a list, for settings that take one. The file keeps its comments and
    is readable by its owner alone.

    \b
    Exit status: 0 written, 2 a value that the setting does not take, 10 no such setting.
    """
    from agentctl.ops.settings import config as configure

    _report(configure.change(runtime, key, values), as_json=as_json)


@command.command()
@key_argument
@json_option
@pass_runtime
def unset(runtime: Runtime, key: str, as_json: bool) -> None:
    """Take one setting out of the file.

    A setting that is not in the file is fine. Works for misspelt settings, which the file
    must not contain.

    \b
    Exit status: 0 it is not in the file, 10 no such setting.
    """
    from agentctl.ops.settings import config as configure

    _report(configure.remove(runtime, key), as_json=as_json)


@command.command()
@json_option
@pass_runtime
def show(runtime: Runtime, as_json: bool) -> None:
    """List all settings, their values and where each is from.

    A secret is shown as "set", an address without its password and query;
    `config get` prints them.

    \b
    Exit status: 0 shown, 2 something in the file is wrong.
    """
    from agentctl import render
    from agentctl.ops.settings import config as configure

    settings = configure.every(runtime)
    if as_json:
        listed = [_fields(_public(setting), secret=None) for setting in settings]
        click.echo(render.document(path=runtime.paths.config_file, settings=listed))
        return
    rows = [(setting.key, _shown(_public(setting)), setting.source) for setting in settings]
    click.echo(render.table(("KEY", "VALUE", "SOURCE"), rows))


def _public(setting: Setting) -> Setting:
    """The setting, with an address as others may see it."""
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
        from agentctl import render

        click.echo(render.document(key=change.key, path=change.path, changed=change.changed))
    elif change.beaten_by:
        click.echo(f"agentctl: {change.beaten_by} is set and beats {change.key}", err=True)
