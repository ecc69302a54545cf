"""`agentctl launch`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from agentctl.commands._launching import (
    ContextOptions,
    SharedOptions,
    context_options,
    read_prompt,
    shared_options,
    start,
)
from agentctl.commands._options import ADAPTER, COUNT_FROM_0, COUNT_FROM_1, pass_runtime

if TYPE_CHECKING:
    from agentctl.ops.worktrees.make import WorktreeRequest
    from agentctl.runtime import Runtime

AGENT_ARGS = "agentctl.agent_args"
ORDER = "agentctl.adapters_and_models"


class LaunchCommand(click.Command):
    """Keeps what follows `--` away from our own arguments, and the order of --adapter and --model.

    What follows `--` is the agent's. A --model belongs to the --adapter before it, and
    Click's parameters do not show that order.
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
        """`adapters` and `models` with their values, in the order of the command line."""
        values, _, order = self.make_parser(ctx).parse_args(args=args.copy())
        left = {name: iter(values.get(name) or ()) for name in ("adapters", "models")}
        return [(param.name, next(left[param.name])) for param in order if param.name in left]

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- ARGS...]"]


@click.command("launch", cls=LaunchCommand)
@click.argument("adapter", required=False, type=ADAPTER)
@click.argument("dash", metavar="[-]", required=False)
@click.option("-p", "--prompt", help="What the agent should do.")
@click.option("--prompt-file", type=click.Path(), help="Read the prompt from this file; - is standard input.")
@click.option("-M", "--model", "models", multiple=True, help="Model, in the agent's own notation.")
@click.option("--cwd", type=click.Path(), help="Directory to work in.  [default: this one]")
@click.option(
    "-A",
    "--adapter",
    "adapters",
    type=ADAPTER,
    multiple=True,
    help="Start several agents side by side; repeatable. A --model belongs to the --adapter before it.",
)
@click.option("--matrix", type=click.Path(), help="Start the agents that this YAML or TOML file describes.")
@click.option(
    "--worktree",
    metavar="REPO",
    type=click.Path(),
    help="Work in a new worktree of this repository.  [default with several agents: that of --cwd]",
)
@click.option("--branch", help="Branch of the worktree, new or not.  [default: try/GROUP/ADAPTER]")
@click.option(
    "--base-branch", help="Where a new branch starts.  [default: origin's branch of that name, else HEAD]"
)
@click.option(
    "--max-running",
    type=COUNT_FROM_1,
    help="Refuse if more sessions than this would be live.  [default: defaults.max_running]",
)
@context_options
@shared_options
@click.option("--max-depth", type=COUNT_FROM_0, help="How deep agents may launch agents.  [default: 3]")
@click.pass_context
@pass_runtime
def command(
    runtime: Runtime,
    ctx: click.Context,
    /,
    *,
    adapter: str | None,
    dash: str | None,
    prompt: str | None,
    prompt_file: str | None,
    models: tuple[str, ...],
    cwd: str | None,
    adapters: tuple[str, ...],
    matrix: str | None,
    worktree: str | None,
    branch: str | None,
    base_branch: str | None,
    max_running: int | None,
    max_depth: int | None,
    context: ContextOptions,
    shared: SharedOptions,
) -> int:
    """Start an agent in the background and print its id.

    ADAPTER is an agent (see `agentctl adapters`).  [default: the configured one, else the
    first one installed]  A lone - reads the prompt from standard input. What follows -- goes
    to the agent's program unchanged; with adapter exec it is the command to run.

    The directory is held until the session has ended: a second launch in it is refused.
    Every session has a fuse, unless --no-fuse is given. With --fuse the session is stopped
    at that deadline, or by the first agentctl command after it. Without --fuse, a fuse of 4 h
    stops nothing: until it ends, a running process counts as alive even if the agent's own
    store does not list it.

    Several agents, started with --adapter or --matrix, form a group. Each works in its own
    worktree on its own branch; an agent that cannot be started leaves neither behind. The
    ids go to standard output, one a line; the group and a table go to standard error.

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
      1   it could not be started, or ended badly within --settle; of several: none started
      2   usage; a file that is too large or not text
      3   some of several were started
      10  no such file, directory, issue or repository
      11  the directory, the branch or the name is taken, or --max-running is reached
      12  the adapter, its program or gh is not installed
    """
    from agentctl.commands import _parallel
    from agentctl.ops.start.plan import MAX_DEPTH, LaunchRequest

    if adapter == "-" and dash is None:
        adapter, dash = None, "-"
    if dash not in (None, "-"):
        raise click.UsageError(
            f"unexpected argument '{dash}'. Give the prompt with -p, and the agent's own arguments after --."
        )
    if cwd is not None and worktree is not None:
        raise click.UsageError(
            "--cwd and --worktree exclude each other: a worktree is a directory of its own."
        )
    options = shared.start_options(runtime)
    prompt = _prompt(prompt, prompt_file, from_stdin=dash is not None)
    line = _parallel.on_line(ctx.meta.get(ORDER, ()))
    wanted = _parallel.agents(runtime, line, adapter=adapter, matrix=matrix)
    place = cwd or (wanted.cwd if worktree is None else None) or "."
    first, *others = wanted.slots
    tree = _worktree(
        worktree or place,
        branch or (None if others else first.branch),
        base_branch or (None if others else first.base_branch),
        is_asked=worktree is not None,
    )
    first, *others = _parallel.composed(
        runtime,
        context.request(wanted.spec),
        wanted.slots,
        prompt=wanted.prompt if prompt is None else prompt,
        cwd=place if tree is None else tree.repository,
    )
    request = LaunchRequest(
        adapter=first.adapter,
        prompt=first.prompt,
        cwd=place,
        model=line.model if others else first.model or line.model,
        args=ctx.meta.get(AGENT_ARGS, ()),
        options=replace(options, hooks={**wanted.hooks, **options.hooks}),
        max_depth=MAX_DEPTH if max_depth is None else max_depth,
        max_running=max_running or runtime.settings.max_running,
        worktree=tree,
    )
    if others:
        return _parallel.start_group(
            runtime, request, [first, *others], wait=shared.wait, as_json=shared.as_json
        )
    return start(runtime, request, wait=shared.wait, as_json=shared.as_json)


def _worktree(
    repository: str, branch: str | None, base: str | None, *, is_asked: bool
) -> WorktreeRequest | None:
    """--branch alone is enough: the repository is then the one of the directory."""
    if not is_asked and branch is None and base is None:
        return None
    from agentctl.ops.worktrees.make import WorktreeRequest

    return WorktreeRequest(repository, branch, base)


def _prompt(prompt: str | None, prompt_file: str | None, *, from_stdin: bool) -> str | None:
    given = [prompt is not None, prompt_file is not None, from_stdin]
    if sum(given) > 1:
        raise click.UsageError("give the prompt once: with -p, with --prompt-file, or with -.")
    if from_stdin:
        return read_prompt("-", "prompt")
    return prompt if prompt_file is None else read_prompt(prompt_file, "prompt")
