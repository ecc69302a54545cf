"""`agentctl generate`: the files that packages ship, made from the commands. Hidden; for packagers."""

from __future__ import annotations

from pathlib import Path

import click

from agentctl import __version__

DIRECTORY = click.Path(file_okay=False, path_type=Path)


@click.group("generate", hidden=True)
def command() -> None:
    """Generate the manual pages and completion scripts."""


@command.command("man")
@click.argument("directory", type=DIRECTORY)
def man(directory: Path) -> None:
    """Write a manual page for each command into DIRECTORY.

    \b
    Examples:
      agentctl generate man man
    """
    from agentctl.cli import ALIASES, EXAMPLES, EXIT_STATUS, SECTIONS, root
    from agentctl.manpages import pages

    aliases = {alias: target for alias, (_, target) in ALIASES.items()}
    made = pages(
        root, SECTIONS, aliases=aliases, examples=EXAMPLES, statuses=EXIT_STATUS, version=__version__
    )
    _write(directory, made)


@command.command("completions")
@click.argument("directory", type=DIRECTORY)
def completions(directory: Path) -> None:
    """Write the completion script of each shell into DIRECTORY.

    \b
    Examples:
      agentctl generate completions completions
    """
    from agentctl.commands.completion import FILES

    _write(directory, FILES)


def _write(directory: Path, files: dict[str, str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
    click.echo(f"{len(files)} files written to {directory}", err=True)
