"""How codex is started and resumed, and which file is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from agentctl.adapters import codex
from agentctl.adapters.codex.commands import BYPASS, PROMPT_LIMIT
from agentctl.adapters.codex.program import TARGETS
from agentctl.errors import NotFound, UsageFault
from tests.adapters.codex_samples import request, session

BASE = ("codex", "exec", "--json", "-C", "/project")
TAGGED = (*BASE, "--thread-source", "agentctl 0123")


class TestLaunch:
    def test_prompt_on_stdin_and_everything_else_on_the_command_line(self) -> None:
        command = codex.launch_command(request(model="gpt-5.5", args=("--add-dir", "/data")))
        assert command.argv == (*TAGGED, "-m", "gpt-5.5", "--add-dir", "/data", "--", "-")
        assert (command.stdin, command.env) == ("Do it", {"PWD": "/project"})
        assert command.native_id is None

    def test_a_prompt_of_the_longest_length_and_no_longer(self) -> None:
        longest = "é" * PROMPT_LIMIT
        assert codex.launch_command(request(prompt=longest)).stdin == longest
        with pytest.raises(UsageFault, match="1,048,577 characters") as caught:
            codex.launch_command(request(prompt=longest + "x"))
        assert caught.value.hint

    @pytest.mark.parametrize("prompt", [None, "", " \n\t"])
    def test_an_empty_prompt_is_refused(self, prompt: str | None) -> None:
        with pytest.raises(UsageFault, match="needs a prompt"):
            codex.launch_command(request(prompt=prompt))

    @pytest.mark.parametrize(
        ("config", "words"),
        [
            ({"sandbox": "workspace-write"}, ("-s", "workspace-write")),
            ({"bypass_approvals_and_sandbox": True, "sandbox": "read-only"}, (BYPASS,)),
            ({"bypass_approvals_and_sandbox": False}, ()),
            ({"skip_git_repo_check": True}, ("--skip-git-repo-check",)),
            ({"profile": "ci", "args": ["--oss"]}, ("-p", "ci", "--oss")),
        ],
    )
    def test_configuration_gives_defaults(self, config: dict[str, Any], words: tuple[str, ...]) -> None:
        assert codex.launch_command(request(config=config)).argv == (*TAGGED, *words, "--", "-")

    @pytest.mark.parametrize(
        "words",
        [
            ("-s", "danger-full-access"),
            ("--sandbox=danger-full-access",),
            ("-sdanger-full-access",),
            (BYPASS,),
            ("--approve-for-me",),
        ],
    )
    def test_the_users_own_sandbox_beats_the_configured_one(self, words: tuple[str, ...]) -> None:
        for config in ({"sandbox": "read-only"}, {"bypass_approvals_and_sandbox": True}):
            assert codex.launch_command(request(config=config, args=words)).argv[7:-2] == words

    def test_the_users_own_words_beat_other_defaults(self) -> None:
        config = {"profile": "ci", "skip_git_repo_check": True, "model": "gpt-5.5"}
        words = ("--profile", "mine", "--skip-git-repo-check", "-m", "mine")
        assert codex.launch_command(request(config=config, args=words)).argv[7:-2] == words

    def test_an_unknown_sandbox_is_refused(self) -> None:
        with pytest.raises(UsageFault, match="'none'"):
            codex.launch_command(request(config={"sandbox": "none"}))

    @pytest.mark.parametrize("args", ["--oss", [1]])
    def test_configured_arguments_are_texts(self, args: object) -> None:
        with pytest.raises(UsageFault, match="list of strings"):
            codex.launch_command(request(config={"args": args}))

    @pytest.mark.parametrize(
        ("words", "named"),
        [
            (("--json",), "--json"),
            (("-C", "/x"), "-C"),
            (("-C/x",), "-C"),
            (("--cd=/x",), "--cd"),
            (("--ephemeral",), "--ephemeral"),
            (("--worktree",), "--worktree"),
            (("--thread-source", "me"), "--thread-source"),
            (("-c", "a=b", "--help"), "--help"),
            (("resume", "id"), "subcommand resume"),
            (("--skip-git-repo-check", "fork"), "subcommand fork"),
            (("--unknown", "review"), "subcommand review"),
            (("--oss", "do it"), "argument 'do it'"),
            (("-",), "argument '-'"),
            (("--", "x"), "words after --"),
        ],
    )
    def test_words_that_would_break_a_run_are_refused_with_a_reason(
        self, words: tuple[str, ...], named: str
    ) -> None:
        for changes in ({"args": words}, {"config": {"args": list(words)}}):
            with pytest.raises(UsageFault, match="cannot be given here: ") as caught:
                codex.launch_command(request(**changes))
            assert named in caught.value.message

    @pytest.mark.parametrize(
        "words",
        [
            ("-p", "review"),
            ("-i", "a.png", "b.png"),
            ("--unknown", "value"),
            ("--output-schema", "schema.json", "-o", "last.txt"),
            ("-c", "resume"),
        ],
    )
    def test_values_of_options_are_left_alone(self, words: tuple[str, ...]) -> None:
        assert codex.launch_command(request(args=words)).argv[7:-2] == words


class TestResume:
    def test_everything_is_given_again(self) -> None:
        again = request(prompt="Go on", config={"sandbox": "workspace-write"}, args=("--oss",))
        command = codex.resume_command(session(native_id="thread", model="gpt-5.5"), again)
        words = ("-m", "gpt-5.5", "-s", "workspace-write", "--oss")
        assert command.argv == (*BASE[:3], *words, *BASE[3:], "resume", "thread", "--", "-")
        assert (command.stdin, command.native_id) == ("Go on", "thread")

    def test_a_model_of_the_request_beats_the_conversations(self) -> None:
        row = session(native_id="thread", model="gpt-5.5")
        assert codex.resume_command(row, request(model="other")).argv[3:5] == ("-m", "other")

    def test_an_option_of_many_values_does_not_take_the_subcommand_for_one(self) -> None:
        argv = codex.resume_command(session(native_id="thread"), request(args=("-i", "shot.png"))).argv
        assert argv[-7:] == ("shot.png", *BASE[3:], "resume", "thread", "--", "-")

    def test_without_a_thread_there_is_nothing_to_resume(self) -> None:
        with pytest.raises(NotFound, match="no codex thread id") as caught:
            codex.resume_command(session(), request())
        assert "rerun" in (caught.value.hint or "")


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


class TestProgram:
    """npm's launcher may stay as the parent of the program: killed, it would leave that at work."""

    @pytest.fixture
    def native(self) -> str:
        name, triple = TARGETS[sys.platform, os.uname().machine]
        return f"@openai/{name}/vendor/{triple}/bin/codex"

    @pytest.fixture
    def modules(self, tmp_path: Path) -> Path:
        """node_modules with the launcher, and a link to it in PATH as npm makes it."""
        modules = tmp_path / "lib" / "node_modules"
        launcher = executable(modules / "@openai" / "codex" / "bin" / "codex.js")
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "codex").symlink_to(launcher)
        return modules

    def started(self, tmp_path: Path, **changes: Any) -> str:
        environ = {"PATH": f"{tmp_path / 'empty'}:{tmp_path / 'bin'}"}
        return codex.launch_command(request(environ=environ, **changes)).argv[0]

    @pytest.mark.parametrize("place", [".", "@openai/codex/node_modules"])
    def test_beside_its_launcher(self, tmp_path: Path, modules: Path, native: str, place: str) -> None:
        program = executable(modules / place / native)
        assert self.started(tmp_path) == str(program)

    def test_the_launcher_where_there_is_no_other(self, tmp_path: Path, modules: Path) -> None:
        assert self.started(tmp_path) == "codex"

    def test_what_is_no_launcher_is_left_alone(self, tmp_path: Path, modules: Path, native: str) -> None:
        executable(modules / native)
        (tmp_path / "bin" / "codex").unlink()
        executable(tmp_path / "bin" / "codex")
        assert self.started(tmp_path) == "codex"

    def test_a_configured_program_is_left_alone(self, tmp_path: Path, modules: Path, native: str) -> None:
        executable(modules / native)
        launcher = str(tmp_path / "bin" / "codex")
        assert self.started(tmp_path, program=(launcher,)) == launcher


class TestStorePath:
    @pytest.mark.parametrize(
        ("environ", "path"),
        [
            ({"HOME": "/home/u"}, "/home/u/.codex"),
            ({"HOME": "/home/u", "CODEX_HOME": ""}, "/home/u/.codex"),
            ({"HOME": "/home/u", "CODEX_HOME": "/srv/codex"}, "/srv/codex"),
            ({"HOME": "/home/u", "CODEX_HOME": "relative"}, None),
            ({}, None),
        ],
    )
    def test_from_the_environment(self, environ: dict[str, str], path: str | None) -> None:
        assert codex.store_path(environ) == path
