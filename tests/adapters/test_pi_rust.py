"""The Rust port of pi, as far as its published source tells: on samples made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agentctl.adapters.pi import rust
from agentctl.core.model import AgentVerdict, Listing, Status, Tokens
from agentctl.errors import NotFound, UsageFault
from tests.adapters.pi_samples import DATA, PROJECT, process, request, session

RUST = DATA.parent / "pi-rust"
OK = str(RUST / "logs" / "ok.jsonl")
ERROR = str(RUST / "logs" / "error.jsonl")
(FILE,) = (RUST / "sessions").iterdir()
ID = "5c9a2f10-3b1d-4e7c-9a53-0d5f1b6e8a77"
RUN = ("pi-rust", "--mode", "json")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The session file where the program puts it."""
    path = tmp_path / "sessions" / "--home-dev-project--" / FILE.name
    path.parent.mkdir(parents=True)
    path.write_bytes(FILE.read_bytes())
    return path


class TestLaunch:
    def test_options_first_and_the_prompt_behind_a_double_dash(self) -> None:
        command = rust.launch_command(request(prompt="- do it", args=("--thinking", "low")))
        assert command.argv == (*RUN, "--thinking", "low", "--", "- do it")
        assert command.stdin is None, "standard input would switch sessions off"

    @pytest.mark.parametrize(
        ("model", "words"),
        [
            ("anthropic/claude", ("--provider", "anthropic", "--model", "claude")),
            ("openrouter/meta/llama", ("--provider", "openrouter", "--model", "meta/llama")),
            ("claude", ("--model", "claude")),
        ],
    )
    def test_a_model_is_split_at_its_first_slash(self, model: str, words: tuple[str, ...]) -> None:
        assert rust.launch_command(request(model=model)).argv == (*RUN, *words, "--", "Do it")

    def test_configuration_gives_defaults(self) -> None:
        config = {"model": "p/m", "args": ["--no-tools"], "yolo": True}
        argv = rust.launch_command(request(config=config, program=("/opt/pi",))).argv
        assert argv[0] == "/opt/pi"
        assert argv[3:] == ("--provider", "p", "--model", "m", "--yolo", "--no-tools", "--", "Do it")

    def test_unasked_tools_only_on_request(self) -> None:
        assert "--yolo" not in rust.launch_command(request()).argv

    @pytest.mark.parametrize(
        "option", ["-p", "--print", "--no-session", "--session=x", "--mode", "--api-key"]
    )
    def test_options_that_agentctl_needs_are_refused(self, option: str) -> None:
        with pytest.raises(UsageFault, match=option.partition("=")[0]):
            rust.launch_command(request(args=(option,)))

    def test_words_behind_a_double_dash_would_be_part_of_the_prompt(self) -> None:
        with pytest.raises(UsageFault, match="--"):
            rust.launch_command(request(args=("--", "more")))

    @pytest.mark.parametrize("prompt", ["@notes.md", "x" * 131_072, "ä" * 65_536, "a\0b", " "])
    def test_prompts_that_are_no_argument_are_refused_with_a_way_out(self, prompt: str) -> None:
        with pytest.raises(UsageFault) as caught:
            rust.launch_command(request(prompt=prompt))
        assert caught.value.hint

    def test_the_longest_argument_is_a_prompt(self) -> None:
        assert rust.launch_command(request(prompt="x" * 131_071)).argv[-1] == "x" * 131_071


class TestResume:
    def test_by_the_file(self, file: Path) -> None:
        old = session(native_id=ID, store_path=str(file.parents[1]))
        command = rust.resume_command(old, request(config={"model": "p/m"}))
        assert command.argv == (*RUN, "--session", str(file), "--", "Do it")
        assert command.native_id == ID

    def test_another_id_with_the_same_beginning_is_another_session(self, file: Path) -> None:
        old = session(native_id=ID[:8] + "-0000-4000-8000-000000000000", store_path=str(file.parents[1]))
        with pytest.raises(NotFound) as caught:
            rust.resume_command(old, request())
        assert caught.value.hint is not None and "rerun" in caught.value.hint

    def test_a_file_that_the_other_pi_wrote_is_not_taken(self, file: Path) -> None:
        file.write_text(file.read_text().replace('"modelId"', '"x"').replace('"provider"', '"y"'))
        old = session(native_id=ID, store_path=str(file.parents[1]), transcript_path=str(file))
        with pytest.raises(NotFound):
            rust.resume_command(old, request())


class TestResult:
    def test_success(self, file: Path) -> None:
        told = rust.result(session(store_path=str(file.parents[1])), OK)
        assert (told.verdict, told.text, told.native_id) == (AgentVerdict.OK, "Hello", ID)
        assert (told.model, told.turns, told.cost_usd) == ("anthropic/claude-sonnet-4-5", 1, 0.0005)
        assert told.tokens == Tokens(input=80, output=7, cache_read=20, cache_write=0)
        assert told.transcript_path == str(file)

    def test_a_failed_answer(self) -> None:
        told = rust.result(session(exit_code=1), ERROR)
        assert (told.verdict, told.text) == (AgentVerdict.ERROR, "401 invalid x-api-key")

    def test_a_log_without_an_answer_proves_no_success(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        log.write_text("".join(Path(OK).read_text().splitlines(keepends=True)[:3]))
        told = rust.result(session(status=Status.STOPPED, exit_code=0), str(log))
        assert (told.missing, told.text, told.native_id) == ("there is no result record", None, ID)

    def test_what_the_log_lacks_comes_from_the_file(self, file: Path, tmp_path: Path) -> None:
        log = tmp_path / "log"
        log.write_text(Path(OK).read_text().splitlines()[0] + "\n")
        old = datetime(2026, 2, 7, 9, tzinfo=UTC)
        told = rust.result(session(exit_code=0, store_path=str(file.parents[1]), created_at=old), str(log))
        assert (told.verdict, told.text, told.turns) == (AgentVerdict.OK, "Hello", 1)

    def test_usage_errors(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        log.write_text("error: unexpected argument '--yolo' found\n\nUsage: pi [OPTIONS]\n")
        told = rust.result(session(exit_code=2), str(log))
        assert (told.verdict, told.text) == (
            AgentVerdict.ERROR,
            "error: unexpected argument '--yolo' found",
        )


def test_the_conversation_comes_from_the_file(file: Path) -> None:
    found = session(native_id=ID, store_path=str(file.parents[1]))
    assert [(one.role, one.text) for one in rust.messages(found, "/none")] == [
        ("user", "Say hello"),
        ("assistant", "Hello"),
    ]


def test_no_file_is_no_proof_of_absence(file: Path) -> None:
    """It is written after the whole run."""
    store = str(file.parents[1])
    assert rust.listing(session(native_id=ID, store_path=store)) is Listing.RUNNING
    assert rust.listing(session(native_id="other", store_path=store)) is Listing.UNAVAILABLE


def test_discover(file: Path) -> None:
    (source,) = rust.sources(str(file.parents[1]))
    (native,) = rust.discover(source)
    assert (native.native_id, native.cwd, native.title) == (ID, PROJECT, "Say hello")
    assert (native.is_open, native.result.verdict) == (False, AgentVerdict.OK)


def test_only_a_command_line_that_names_the_file_proves_a_process(file: Path) -> None:
    (native,) = rust.discover(str(file))
    at = native.created_at
    named = process(at, argv=("pi", "--mode", "json", "--session", str(file), "--", "x"))
    others = [
        process(at, pid=2, argv=("pi",)),
        process(at, pid=3, argv=("pi", "--", "--session", str(file))),
        process(at, pid=4, argv=("pi", f"--session={file}.other")),
    ]
    assert rust.match([native], [named, *others]) == {ID: named}
    assert rust.match([native], [named, process(at, pid=5, argv=("pi", f"--session={file}"))]) == {}


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HOME": "/h"}, "/h/.pi/agent/sessions"),
        ({"HOME": "/h", "PI_SESSIONS_DIR": "/s", "PI_CODING_AGENT_DIR": "/a"}, "/s"),
        ({"HOME": "/h", "PI_CODING_AGENT_SESSION_DIR": "/other"}, "/h/.pi/agent/sessions"),
    ],
)
def test_store_path(environ: Mapping[str, Any], expected: str) -> None:
    assert rust.store_path(environ) == expected
