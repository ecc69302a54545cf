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
from agentctl.commands._options import ADAPTER, COUNT_FROM_0, COUNT_FROM_1, pass_runtime

if TYPE_CHECKING:
    from agentctl.runtime import Runtime

AGENT_ARGS = "agentctl.agent_args"


ORDER = "agentctl.adapters_and_models"


class LaunchCommand(click.Command):
    """Keeps what follows `--` away from our own arguments, and the order of --adapter and --model.

    What follows `--` is the agent's. A --model belongs to the --adapter before it, which
    Click's parameters do not tell.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            place = args.index("--")
            ctx.meta[AGENT_ARGS] = tuple(args[place + 1 :])
            args = args[:place]
        if not ctx.resilient_parsing:
            ctx.meta[ORDER] = self._in_order(ctx, args)
        return super().parse_args(ctx, args)

    def _in_order(self, ctx: click.Context, args: list[str]) -> list[tuple[str, str]]:
        """`adapters` and `models` with their values, as they stand on the line."""
        values, _, order = self.make_parser(ctx).parse_args(args=args.copy())
        left = {name: iter(values.get(name) or ()) for name in ("adapters", "models")}
        return [(param.name, next(left[param.name])) for param in order if param.name in left]

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- ARGS...]"]


@click.command("launch", cls=LaunchCommand)
@click.argument("adapter", required=False, type=ADAPTER)
@click.argument("dash", metavar="[-]", required=False)
@click.option("-p", "--prompt", help="What the agent is to do.")
@click.option("--prompt-file", type=click.Path(), help="Read the prompt from this file; - is standard input.")
@click.option("--model", "models", multiple=True, help="Model, in the agent's own notation.")
@click.option("--cwd", type=click.Path(), help="Directory to work in.  [default: this one]")
@click.option(
    "--adapter",
    "adapters",
    type=ADAPTER,
    multiple=True,
    help="One of several agents, side by side; repeatable. A --model belongs to the one before it.",
)
@click.option("--matrix", type=click.Path(), help="Several agents, described in this YAML or TOML file.")
@click.option(
    "--worktree",
    metavar="REPO",
    type=click.Path(),
    help="Work in a new worktree of this repository.  [default with several agents: that of --cwd]",
)
@click.option("--branch", help="Branch of the worktree, new or not.  [default: try/GROUP/ADAPTER]")
@click.option(
    "--base-branch", help="What a new branch begins at.  [default: origin's of that name, else HEAD]"
)
@click.option(
    "--max-running",
    type=COUNT_FROM_1,
    help="Refuse if more sessions would be live than this.  [default: defaults.max_running]",
)
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
    cwd: str | None,
    max_running: int | None,
    max_depth: int | None,
    **options: Any,
) -> int:
    """Start an agent in the background and print its id.

    ADAPTER is an agent (see `agentctl adapters`); without it the configured one, else the
    first one installed. A lone - reads the prompt from standard input. What follows -- goes
    to the agent's program as it is; with adapter exec it is the command to run.

    The directory is held until the session has ended: a second launch in it is refused.
    Every session has a fuse. With --fuse it is stopped at that deadline: on time while its
    session lives, else by the first agentctl after it. Without, a fuse of 4 h ends nothing;
    it vouches for the process while the agent's own store does not list it.

    Several agents, by --adapter or --matrix, are one group: each works in a worktree and on
    a branch of its own, and one that cannot be started leaves neither. The ids are printed
    one a line, the group and a table go to standard error.

    \b
    Examples:
      agentctl launch demo -p "Say hello"
      agentctl launch opencode -p "Fix the build" --fuse 1h --name build
      agentctl launch opencode --spec docs/plan.md --file src/app.py -p "Do step 2"
      agentctl launch opencode --issue 42 -p "Fix it, with a test"
      agentctl launch opencode --cwd ../other - < prompt.md
      id=$(agentctl launch exec -- make check) && agentctl wait "$id"
      agentctl launch opencode -p "Fix it" --worktree . --branch fix --base-branch main
      agentctl launch -p "Fix it" --adapter codex --adapter opencode --model x/large
      agentctl launch --matrix three.yaml --max-running 6

    \b
    Exit status:
      0   started (or ended well already); with --wait as `agentctl wait`
      1   it could not be started, or ended badly within --settle; of several: none was
      2   usage; a file that is too large or no text
      3   some of several were started
      10  no such file, issue or repository
      11  the directory, the branch or the name is taken, or --max-running is reached
      12  the adapter or its program is not there; gh is not
    """
    from agentctl.commands import _parallel
    from agentctl.ops.start.plan import MAX_DEPTH, LaunchRequest

    if adapter == "-" and dash is None:
        adapter, dash = None, "-"
    if dash not in (None, "-"):
        raise click.UsageError(
            f"unexpected argument '{dash}'. A prompt is given with -p; the agent's own arguments follow --."
        )
    if cwd is not None and options["worktree"] is not None:
        raise click.UsageError(
            "--cwd and --worktree exclude each other: a worktree is a directory of its own."
        )
    request = LaunchRequest(
        adapter=adapter,
        prompt=_prompt(prompt, prompt_file, from_stdin=dash is not None),
        cwd=cwd or ".",
        args=ctx.meta.get(AGENT_ARGS, ()),
        max_depth=MAX_DEPTH if max_depth is None else max_depth,
        max_running=max_running or runtime.settings.max_running,
        **common(runtime, options),
    )
    named, model = _parallel.slots_in_order(ctx.meta.get(ORDER, ()))
    request, slots, spec = _parallel.gather(
        request, named, model=model, has_cwd=cwd is not None, options=options
    )
    request, slots = _parallel.with_context(runtime, request, slots, context_of(options, spec=spec))
    if len(slots) > 1:
        return _parallel.start_group(
            runtime, request, slots, wait=options["wait"], as_json=options["as_json"]
        )
    return start(runtime, request, wait=options["wait"], as_json=options["as_json"])


def _prompt(prompt: str | None, prompt_file: str | None, *, from_stdin: bool) -> str | None:
    given = [prompt is not None, prompt_file is not None, from_stdin]
    if sum(given) > 1:
        raise click.UsageError("give the prompt once: with -p, with --prompt-file, or with -.")
    if from_stdin:
        return read_text("-")
    return prompt if prompt_file is None else read_text(prompt_file)
