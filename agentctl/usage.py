"""Click's usage errors in the words and the form of our own; called by `failures` alone.

Click says what it could not parse in a style of its own, and keeps some of the facts
only in its message. They are read from there, so any other message passes as it is.
"""

from __future__ import annotations

import re

import click

from agentctl.core.near import did_you_mean, near_matches
from agentctl.errors import UsageFault


def fault(error: click.UsageError) -> UsageFault:
    """The same failure as an error of ours, with what was probably meant and where help is."""
    message, near = _told(error)
    usage = f"{error.ctx.command_path} --help shows the usage" if error.ctx else ""
    return UsageFault(message, hint=f"{did_you_mean(near)} {usage}".strip() or None)


def _told(error: click.UsageError) -> tuple[str, list[str]]:
    """The message, and the words that may have been meant."""
    raw = error.message.removesuffix(".")
    if isinstance(error, click.exceptions.NoArgsIsHelpError) or raw == "Missing command":
        return "missing command", []
    if isinstance(error, click.MissingParameter) and error.param is not None:
        return _missing(error.param), []
    if isinstance(error, click.NoSuchOption):
        return f"unknown option {error.option_name}", _near_options(error.option_name, error.ctx)
    if isinstance(error, click.BadOptionUsage):
        lacks = "takes no value" if "does not take a value" in raw else "needs a value"
        return f"{error.option_name} {lacks}", []
    if isinstance(error, click.BadParameter) and error.param is not None:
        return _bad_value(error.param, raw)
    if (found := re.fullmatch(r"No such command '(.+)'", raw, re.DOTALL)) and error.ctx:
        return f"unknown command '{found[1]}'", _near_commands(found[1], error.ctx)
    if found := re.fullmatch(r"Got unexpected extra (arguments?) \((.+)\)", raw, re.DOTALL):
        return f"unexpected {found[1]}: {found[2]}", []
    return raw, []


def _missing(param: click.Parameter) -> str:
    kind = "argument" if isinstance(param, click.Argument) else "option"
    choices = f" ({', '.join(map(str, param.type.choices))})" if isinstance(param.type, click.Choice) else ""
    return f"missing {kind}: {_name(param)}{choices}"


def _bad_value(param: click.Parameter, raw: str) -> tuple[str, list[str]]:
    name = _name(param)
    if isinstance(param.type, click.Choice) and (found := re.match(r"'(.*)' is not ", raw, re.DOTALL)):
        choices = [str(choice) for choice in param.type.choices]
        return f"{name}: '{found[1]}' is not one of {', '.join(choices)}", near_matches(found[1], choices)
    return f"{name}: {raw}", []


def _name(param: click.Parameter) -> str:
    """`--status`, or an argument as the usage line has it: `ID`."""
    if isinstance(param, click.Argument):
        name = param.metavar or (param.name or "").upper()
        return name.strip("[].")
    return max(param.opts, key=len)


def _near_options(name: str, ctx: click.Context | None) -> list[str]:
    if not name.startswith("--") or ctx is None:
        return []
    # Without the dashes, which make any two options alike.
    known = [opt[2:] for each in ctx.command.get_params(ctx) for opt in each.opts if opt.startswith("--")]
    return [f"--{near}" for near in near_matches(name[2:], known)]


def _near_commands(name: str, ctx: click.Context) -> list[str]:
    from agentctl.cli import ALIASES

    known = ctx.command.list_commands(ctx) if isinstance(ctx.command, click.Group) else []
    return near_matches(name, known) or near_matches(name, () if ctx.parent else ALIASES)
