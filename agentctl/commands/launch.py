"""`agentctl launch`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from agentctl.commands._launching import (
    common,
    context_of,
    context_options,
    launching_options,
    read_text,
    start,
)
from agentctl.commands._options import ADAPTER, COUNT_FROM_0, pass_runtime

if TYPE_CHECKING:
    from agentctl.runtime import Runtime

AGENT_ARGS = "agentctl.agent_args"


class LaunchCommand(click.Command):
    """Keeps what follows `--` away from our own arguments: it is the agent's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            place = args.index("--")
            ctx.meta[AGENT_ARGS] = tuple(args[place + 1 :])
            args = args[:place]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- ARGS...]"]


@click.command("launch", cls=LaunchCommand)
@click.argument("adapter", required=False, type=ADAPTER)
@click.argument("dash", metavar="[-]", required=False)
@click.option("-p", "--prompt", help="What the agent is to do.")
@click.option("--prompt-file", type=click.Path(), help="Read the prompt from this file; - is standard input.")
@click.option("--model", help="Model, in the agent's own notation.")
@click.option("--cwd", type=click.Path(), default=".", help="Directory to work in.  [default: this one]")
@context_options
@launching_options
@click.option("--max-depth", type=COUNT_FROM_0, help="How deep agents may launch agents.  [default: 3]")
@click.pass_context
@pass_runtime
def command(
    runtime: Runtime,
    ctx: click.Context,
    /,
    adapter: str | None,
    dash: str | None,
    prompt: str | None,
    prompt_file: str | None,
    model: str | None,
    cwd: str,
    max_depth: int | None,
    **options: Any,
) -> int:
    """Start an agent in the background and print its id.

    ADAPTER is an agent (see `agentctl adapters`); without it the configured one, else the
    first one installed. A lone - reads the prompt from standard input. What follows -- goes
    to the agent's program as it is; with adapter exec it is the command to run.

    --spec, --file and --issue put text before the prompt, each between fences; the whole is
    what `rerun` sends again. Their paths are seen from the current directory. A specification
    or an issue may stand for the prompt.

    The directory is held until the session has ended: a second launch in it is refused.
    Every session has a fuse. With --fuse it is stopped at that deadline: on time while its
    session lives, else by the first agentctl after it. Without, a fuse of 4 h ends nothing;
    it vouches for the process while the agent's own store does not list it.

    \b
    Examples:
      agentctl launch demo -p "Say hello"
      agentctl launch opencode -p "Fix the build" --fuse 1h --name build
      agentctl launch opencode --spec docs/plan.md --file src/app.py -p "Do step 2"
      agentctl launch opencode --issue 42 -p "Fix it, with a test"
      agentctl launch opencode --cwd ../other - < prompt.md
      id=$(agentctl launch exec -- make check) && agentctl wait "$id"

    \b
    Exit status:
      0   started (or ended well already); with --wait as `agentctl wait`
      1   it could not be started, or ended badly within --settle
      2   usage; a file that is too large or no text
      10  no such file, issue or repository
      11  the directory or the name is taken
      12  the adapter or its program is not there; gh is not
    """
    from agentctl.ops.context import with_context
    from agentctl.ops.planning import MAX_DEPTH, LaunchRequest

    runtime.actor = "launch"
    if adapter == "-" and dash is None:
        adapter, dash = None, "-"
    if dash not in (None, "-"):
        raise click.UsageError(
            f"unexpected argument '{dash}'. A prompt is given with -p; the agent's own arguments follow --."
        )
    asked = _prompt(prompt, prompt_file, from_stdin=dash is not None)
    shared = common(runtime, options)
    request = LaunchRequest(
        adapter=adapter,
        prompt=with_context(runtime, context_of(options), asked, cwd=cwd),
        model=model,
        cwd=cwd,
        args=ctx.meta.get(AGENT_ARGS, ()),
        max_depth=MAX_DEPTH if max_depth is None else max_depth,
        **shared,
    )
    return start(runtime, request, wait=options["wait"], as_json=options["as_json"])


def _prompt(prompt: str | None, prompt_file: str | None, *, from_stdin: bool) -> str | None:
    given = [prompt is not None, prompt_file is not None, from_stdin]
    if sum(given) > 1:
        raise click.UsageError("give the prompt once: with -p, with --prompt-file, or with -.")
    if from_stdin:
        return read_text("-")
    return prompt if prompt_file is None else read_text(prompt_file)
