"""How `codex exec` is started: its words, and what a user's own words must not set.

Reads only the request, and which file its `codex` is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentctl.adapters.base import Command, CommandRequest, Option
from agentctl.adapters.codex.program import program
from agentctl.adapters.values import string
from agentctl.adapters.words import model_of, native_id_of, prompt_of, strings
from agentctl.core.model import Session
from agentctl.errors import UsageFault

PROMPT_LIMIT = 1_048_576
"""Characters that codex accepts. With more it fails only after it has made a session."""

TAG = "agentctl "
"""How the tag and the title of a launched thread begin; the session id follows."""

MODES = ("read-only", "workspace-write", "danger-full-access")

BYPASS = "--dangerously-bypass-approvals-and-sandbox"

OPTIONS = (
    Option(
        "sandbox",
        "What its commands may write; codex's own default is nothing (read-only). With"
        " danger-full-access codex runs without a sandbox: a mistake or a malicious prompt can do whatever"
        " you can.",
        choices=MODES,
    ),
    Option(
        "bypass_approvals_and_sandbox",
        "Run without a sandbox, also outside git repositories; for machines that are sandboxed as a whole."
        " False by default.",
        kind=bool,
    ),
    Option("skip_git_repo_check", "Also work outside git repositories; false by default.", kind=bool),
    Option(
        "profile",
        "Layer $CODEX_HOME/NAME.config.toml over codex's configuration; none by default. codex does"
        " not complain if the file is missing.",
    ),
)

OURS = {
    "--json": "agentctl passes it",
    "--cd": "use --cwd",
    "-C": "use --cwd",
    "--worktree": "codex would work in another directory; use agentctl launch --worktree",
    "--ephemeral": "the conversation could be neither found nor resumed",
    "--thread-source": "agentctl finds the session by it",
    "--last": "use agentctl resume",
    "--all": "use agentctl resume",
    "--help": "ask codex itself",
    "-h": "ask codex itself",
    "--version": "ask codex itself",
    "-V": "ask codex itself",
}
"""Options that a user's own words must not set, and why."""

SUBCOMMANDS = {
    "resume": "use agentctl resume",
    "fork": "a fork would be a different session from the one that agentctl watches",
    "review": "ask for a review in the prompt",
    "help": "ask codex itself",
}

VALUED = frozenset(
    {
        "-c", "--config", "--enable", "--disable", "-i", "--image", "-m", "--model", "--local-provider",
        "-p", "--profile", "-s", "--sandbox", "--add-dir", "--cyber-access-program", "--output-schema",
        "--color", "-o", "--output-last-message",
    }
)  # fmt: skip
"""Options whose value is the next word, so that a value is not taken for a subcommand."""

IMAGES = frozenset({"-i", "--image"})
"""Options with any number of values."""

FLAGS = frozenset(
    {
        "--", "--strict-config", "--oss", "--approve-for-me", BYPASS, "--dangerously-bypass-hook-trust",
        "--skip-git-repo-check", "--trust", "--ignore-user-config", "--ignore-rules",
    }
)  # fmt: skip
"""Options without a value."""


def launch_command(request: CommandRequest) -> Command:
    """A run with the prompt on standard input, tagged so that agentctl recognises its thread."""
    words = _words(request)
    tag = ("--thread-source", f"{TAG}{request.session_id}")
    argv = (*_exec(request), *_place(request), *tag, *_model(model_of(request), words), *words, "--", "-")
    return Command(argv=argv, env={"PWD": request.cwd}, stdin=_prompt(request))


def resume_command(session: Session, request: CommandRequest) -> Command:
    """A further turn of the same conversation. codex keeps only the words of the turns before.

    So directory, sandbox and model are given again. An id that codex does not know starts
    another conversation: the id in its log is then not `session.native_id`.
    """
    native_id = native_id_of(session, "codex thread id: it ended before codex made one")
    words = _words(request)
    model = _model(request.model or session.model, words)
    # -C after the user's words: `-i`, which takes any number of values, would swallow the subcommand.
    argv = (*_exec(request), *model, *words, *_place(request), "resume", native_id, "--", "-")
    return Command(argv=argv, env={"PWD": request.cwd}, stdin=_prompt(request), native_id=native_id)


def _exec(request: CommandRequest) -> tuple[str, ...]:
    started = request.program or (program(request.environ, request.cwd),)
    return (*started, "exec", "--json")


def _place(request: CommandRequest) -> tuple[str, ...]:
    return ("-C", request.cwd)


def _prompt(request: CommandRequest) -> str:
    prompt = prompt_of(request, "codex")
    if len(prompt) > PROMPT_LIMIT:
        raise UsageFault(
            f"the prompt has {len(prompt):,} characters; codex accepts at most {PROMPT_LIMIT:,}",
            hint="put the text into a file in the project, and name the file in the prompt",
        )
    return prompt


def _model(model: str | None, words: Sequence[str]) -> tuple[str, ...]:
    """The option for this model, unless the user's own words choose one."""
    return () if model is None or _has(words, "-m", "--model") else ("-m", model)


def _words(request: CommandRequest) -> tuple[str, ...]:
    """The configured options and arguments, then the user's own."""
    config = request.config
    words = (*strings(request, "args", adapter="codex"), *request.args)
    for word, reason in _refused(words):
        raise UsageFault(f"codex's {word} cannot be given here: {reason}")
    profile = string(config.get("profile"))
    options: list[str] = []
    if profile and not _has(words, "-p", "--profile"):
        options += ["-p", profile]
    if config.get("skip_git_repo_check") is True and not _has(words, "--skip-git-repo-check"):
        options.append("--skip-git-repo-check")
    return (*options, *_sandbox(request, words), *words)


def _sandbox(request: CommandRequest, words: Sequence[str]) -> tuple[str, ...]:
    """The configured sandbox, unless the user's own words set one."""
    if _has(words, "-s", "--sandbox", BYPASS, "--approve-for-me"):
        return ()
    if request.config.get("bypass_approvals_and_sandbox") is True:
        return (BYPASS,)
    mode = string(request.config.get("sandbox"))
    if mode is None:
        return ()
    if mode not in MODES:
        raise UsageFault(f"sandbox in [adapters.codex] must be one of {', '.join(MODES)}, not {mode!r}")
    return ("-s", mode)


def _refused(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The words that would break a run of ours, each with the reason."""
    for option, value in _options(words):
        if option == "--":
            yield "words after --", "the prompt is given with --prompt"
        elif (reason := OURS.get(option)) is not None:
            yield f"option {option}", reason
        elif not option and value in SUBCOMMANDS:
            yield f"subcommand {value}", SUBCOMMANDS[value]
        elif not option:
            yield f"argument {value!r}", "the prompt is given with --prompt"


def _has(words: Sequence[str], *names: str) -> bool:
    return any(option in names for option, _ in _options(words))


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options among these words, and under an empty name the words that belong to no option.

    A short option may have its value in the same word, a long one behind `=`. A word after
    an unknown option may be its value, unless it is a subcommand's name.
    """
    option = ""
    for word in words:
        if word.startswith("-") and word != "-":
            option, equals, _ = word.partition("=") if word.startswith("--") else (word[:2], word[2:], "")
            yield option, ""
            if equals or option in FLAGS:
                option = ""
            continue
        if not option or (word in SUBCOMMANDS and option not in VALUED):
            yield "", word
        if option not in IMAGES:
            option = ""
