"""How pi is started and resumed, and where it keeps its sessions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from agentctl.adapters import pi
from agentctl.errors import AgentctlError, NotFound, UsageFault
from tests.adapters.pi_samples import header, keep, request, session

RUN = ("pi", "-p", "--mode", "json")


class TestLaunch:
    def test_prompt_on_stdin_and_everything_else_on_the_command_line(self) -> None:
        command = pi.launch_command(request(model="mock/ok", args=("--no-skills",)))
        assert command.argv == (*RUN, "--model", "mock/ok", "--no-skills")
        assert command.stdin == "Do it"
        assert command.native_id is None

    def test_print_comes_first_so_that_no_word_is_a_command(self) -> None:
        assert pi.launch_command(request(args=("list",))).argv == (*RUN, "list")

    def test_configuration_gives_defaults(self) -> None:
        config = {
            "model": "ok",
            "provider": "mock",
            "thinking": "low",
            "tools": ["read", "ls"],
            "args": ["--no-themes"],
        }
        argv = pi.launch_command(request(config=config, args=("@notes.md",), program=("npx", "pi"))).argv
        assert argv[:2] == ("npx", "pi")
        assert argv[5:] == (
            *("--provider", "mock", "--model", "ok"),
            *("--tools", "read,ls", "--thinking", "low", "--no-themes", "@notes.md"),
        )

    def test_the_users_own_words_beat_defaults(self) -> None:
        words = ("--model=mine", "--thinking", "off", "-t", "bash")
        config = {"provider": "mock", "thinking": "high", "tools": ["read"]}
        assert pi.launch_command(request(model="other", config=config, args=words)).argv == (*RUN, *words)

    def test_a_provider_goes_only_with_a_model(self) -> None:
        """Today's pi refuses one alone."""
        assert pi.launch_command(request(config={"provider": "mock"})).argv == RUN

    def test_no_tools_at_all(self) -> None:
        assert pi.launch_command(request(config={"tools": []})).argv == (*RUN, "--no-tools")

    @pytest.mark.parametrize(
        "option",
        [
            *("--mode", "--session", "--session-id=x", "--session-dir", "--continue", "-c", "--resume", "-r"),
            *("--fork", "--no-session", "--api-key=secret", "--list-models", "--export", "--help", "-v"),
        ],
    )
    def test_options_that_agentctl_needs_are_refused(self, option: str) -> None:
        with pytest.raises(UsageFault, match=option.partition("=")[0]) as caught:
            pi.launch_command(request(args=(option, "value")))
        assert "secret" not in caught.value.message

    @pytest.mark.parametrize("key", ["args", "tools"])
    @pytest.mark.parametrize("value", ["--verbose", [1]])
    def test_configured_lists_of_another_kind_are_refused(self, key: str, value: object) -> None:
        with pytest.raises(UsageFault, match=rf"{key} in \[adapters.pi\]"):
            pi.launch_command(request(config={key: value}))


class TestResume:
    def test_by_the_file_that_the_row_names(self, tmp_path: Path) -> None:
        file = keep(tmp_path, "0.73.1", "ok")
        old = session(native_id=header("0.73.1", "ok")["id"], transcript_path=str(file))
        command = pi.resume_command(old, request(prompt="And now?", config={"model": "p/default"}))
        assert command.argv == (*RUN, "--session", str(file)), "the model of the conversation goes on"
        assert (command.stdin, command.native_id) == ("And now?", old.native_id)

    @pytest.mark.parametrize("flat", [False, True])
    @pytest.mark.parametrize("cwd", ["/home/dev/project", "/somewhere/else"])
    def test_by_the_file_in_the_store(self, tmp_path: Path, flat: bool, cwd: str) -> None:
        file = keep(tmp_path, "1.5.2", "ok", flat=flat)
        keep(tmp_path, "1.5.2", "tool", flat=flat)
        old = session(native_id=header("1.5.2", "ok")["id"], store_path=str(tmp_path), cwd=cwd)
        assert pi.resume_command(old, request(model="m/x")).argv == (
            *(*RUN, "--session", str(file)),
            *("--model", "m/x"),
        )

    def test_by_the_file_of_a_session_found_outside(self, tmp_path: Path) -> None:
        (native,) = pi.discover(str(keep(tmp_path, "0.73.1", "ok")))
        old = session(native_id=native.native_id, store_path=native.store_path, source="external")
        assert pi.resume_command(old, request()).argv[-2:] == ("--session", native.store_path)

    def test_by_its_id_where_the_file_is_not_found(self, tmp_path: Path) -> None:
        old = session(native_id="01a201fd", store_path=str(tmp_path), transcript_path="/gone.jsonl")
        assert pi.resume_command(old, request()).argv == (*RUN, "--session", "01a201fd")

    def test_an_id_does_not_lead_out_of_the_store(self, tmp_path: Path) -> None:
        file = keep(tmp_path / "other", "0.73.1", "ok")
        native_id = f"../other/{file.stem.partition('_')[2]}"
        old = session(native_id=native_id, store_path=str(tmp_path / "store"))
        assert pi.resume_command(old, request()).argv[-1] == native_id

    def test_without_an_id_it_is_refused_with_the_way_out(self) -> None:
        with pytest.raises(NotFound) as caught:
            pi.resume_command(session(), request())
        assert caught.value.hint is not None and "rerun" in caught.value.hint

    @pytest.mark.parametrize("changes", [{"prompt": " "}, {"args": ("--mode", "text")}])
    def test_what_a_launch_refuses(self, changes: Mapping[str, object]) -> None:
        with pytest.raises(AgentctlError):
            pi.resume_command(session(native_id="x"), request(**changes))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HOME": "/h"}, "/h/.pi/agent/sessions"),
        ({"HOME": "/h", "PI_CODING_AGENT_DIR": "/a"}, "/a/sessions"),
        ({"HOME": "/h", "PI_CODING_AGENT_DIR": "~/a"}, "/h/a/sessions"),
        ({"HOME": "/h", "PI_CODING_AGENT_DIR": "/a", "PI_CODING_AGENT_SESSION_DIR": "/s"}, "/s"),
        ({"HOME": "/h", "PI_CODING_AGENT_SESSION_DIR": "relative"}, None),
        ({}, None),
    ],
)
def test_store_path(environ: Mapping[str, str], expected: str | None) -> None:
    assert pi.store_path(environ) == expected


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [("~/talks", "{home}/talks"), ("/talks", "/talks"), ("talks", "{home}/.pi/agent/sessions")],
)
def test_the_directory_that_pis_settings_name(tmp_path: Path, chosen: str, expected: str) -> None:
    settings = tmp_path / ".pi" / "agent" / "settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text("\ufeff" + json.dumps({"sessionDir": chosen}))
    environ = {"HOME": str(tmp_path)}
    assert pi.store_path(environ) == expected.format(home=tmp_path)
    assert pi.store_path({**environ, "PI_CODING_AGENT_SESSION_DIR": "/s"}) == "/s"
