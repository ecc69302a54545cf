"""`agentctl launch --spec --file --issue`: what reaches the agent, and what is refused.

`gh` is a program of the tests' own that answers as GitHub's does: its texts and exit codes
are those of gh 2.x.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

ISSUE = {
    "number": 42,
    "title": "It crashes",
    "body": "```\nTraceback\n```",
    "url": "https://github.com/o/r/issues/42",
}

FAILURES = {
    "login": (
        4,
        "To get started with GitHub CLI, please run:  gh auth login\n"
        "Alternatively, populate the GH_TOKEN environment variable with a GitHub API authentication token.\n",
    ),
    "issue": (
        1,
        "GraphQL: Could not resolve to an issue or pull request with the number of 42. (repository.issue)\n",
    ),
    "repository": (
        1,
        "GraphQL: Could not resolve to a Repository with the name 'o/r'. (repository)\n",
    ),
    "remotes": (
        1,
        "none of the git remotes configured for this repository point to a known GitHub host. To tell gh "
        "about a new GitHub host, please use `gh auth login`\n",
    ),
    "outside": (
        1,
        "failed to run git: fatal: not a git repository (or any of the parent directories): .git\n\n",
    ),
    "other": (1, "error connecting to api.github.com\ncheck your internet connection\n"),
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    return made


@pytest.fixture
def gh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a `gh` into PATH that prints this and exits so; it writes its words and directory to a file."""

    def install(out: str = json.dumps(ISSUE), code: int = 0, err: str = "") -> Path:
        record = tmp_path / "gh.json"
        program = tmp_path / "bin" / "gh"
        program.parent.mkdir(exist_ok=True)
        program.write_text(
            f"#!{sys.executable} -IS\nimport json, os, sys\n"
            f"kept = {{'argv': sys.argv[1:], 'cwd': os.getcwd(), 'stdin': sys.stdin.read(),\n"
            f"  'prompts': os.environ.get('GH_PROMPT_DISABLED'), 'tty': os.environ.get('GH_FORCE_TTY')}}\n"
            f"open({str(record)!r}, 'w').write(json.dumps(kept))\n"
            f"sys.stdout.write({out!r}); sys.stderr.write({err!r}); sys.exit({code})\n"
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        return record

    return install


def sent(run: Run, words: str, cwd: Path) -> str:
    """What reaches an agent that repeats its standard input."""
    session = run(f"launch exec --cwd {cwd} --wait {words} -- cat").lines[0]
    return Path(run(f"status --json {session}").json()["sessions"][0]["log_path"]).read_text()


def test_files_go_before_the_prompt_in_the_order_given(run: Run, project: Path) -> None:
    (project / "src").mkdir()
    (project / "src" / "a.py").write_text("a = 1\n")
    (project / "b.md").write_text("```\nfence\n```\n")
    (project / "plan.md").write_text("Be quick.")
    words = f"--file {project}/src/a.py --file {project}/b.md --spec {project}/plan.md -p 'Do it.'"
    assert sent(run, words, project) == (
        "Specification: plan.md\n```\nBe quick.\n```\n\n"
        "File: src/a.py\n```\na = 1\n```\n\n"
        "File: b.md\n````\n```\nfence\n```\n````\n\n"
        "Do it."
    )


def test_paths_are_seen_from_here_and_named_as_the_agent_can_find_them(
    run: Run, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "notes").write_text("n")
    monkeypatch.chdir(tmp_path)
    assert sent(run, "--file notes -p Go", project).startswith(f"File: {tmp_path}/notes\n")
    refused = run(f"launch exec --cwd {project} --file project-notes -p Go -- cat", exit=10)
    assert str(tmp_path) in refused.stderr


def test_a_specification_or_an_issue_may_be_the_whole_prompt_but_a_file_may_not(
    run: Run, project: Path
) -> None:
    (project / "plan.md").write_text("Be quick.")
    assert sent(run, f"--spec {project}/plan.md", project).endswith("Be quick.\n```")
    assert "what to do with it" in run(f"launch exec --file {project}/plan.md -- cat", exit=2).stderr


def test_rerun_sends_what_was_composed_then(run: Run, project: Path) -> None:
    note = project / "note"
    note.write_text("old")
    first = run(f"launch exec --cwd {project} --wait --file {note} -p Go -- cat").lines[0]
    note.unlink()
    again = run(f"rerun --wait {first}").lines[0]
    both = [run(f"status --json {one}").json()["sessions"][0] for one in (first, again)]
    assert both[0]["prompt"] == both[1]["prompt"] == "File: note\n```\nold\n```\n\nGo"
    assert Path(both[1]["log_path"]).read_text() == both[1]["prompt"]


def test_a_file_that_is_too_large_is_refused_and_the_limit_can_be_moved(run: Run, project: Path) -> None:
    big = project / "big"
    big.write_text("x" * 51_201)
    words = f"launch exec --cwd {project} --file {big} -p Go"
    told = run([*words.split(), "--json", "--", "cat"], exit=2).error()
    assert told["message"] == f"file {big} is too large: 51201 bytes, where 51200 are allowed"
    assert "--max-file-size" in told["hint"]
    assert run("list -a -q").stdout == ""
    run(f"{words} --max-file-size 51201 --wait -- cat")
    run(f"{words} --max-file-size 60k --wait -- cat")
    assert "not of the form" in run(f"{words} --max-file-size large -- cat", exit=2).stderr
    big.write_text("x" * 51_200)
    run(f"{words} --wait -- cat")


@pytest.mark.parametrize("endless", ["/dev/zero", "pipe"])
def test_what_has_no_size_is_read_up_to_the_limit(run: Run, project: Path, endless: str) -> None:
    if endless == "pipe":
        reading, writing = os.pipe()
        os.write(writing, b"from a pipe")
        os.close(writing)
        assert "from a pipe" in sent(run, f"--file /dev/fd/{reading} -p Go", project)
        os.close(reading)
    else:
        assert (
            "more, where 51200 are allowed" in run("launch exec --file /dev/zero -p Go -- cat", exit=2).stderr
        )


@pytest.mark.parametrize("option", ["--file", "--spec"])
def test_what_cannot_be_put_into_a_prompt_is_named(run: Run, project: Path, option: str) -> None:
    def refused(path: str, code: int) -> str:
        words = ["launch", "exec", "--cwd", str(project), option, path, "-p", "Go", "--", "cat"]
        told: str = run(words, exit=code).stderr
        return told

    (project / "latin").write_bytes(b"caf\xe9")
    (project / "nul").write_bytes(b"a\0b")
    (project / "bom").write_bytes(b"\xef\xbb\xbftext")
    assert f"file {project}/none does not exist" in refused(f"{project}/none", 10)
    assert f"file {project}/nul/below does not exist" in refused(f"{project}/nul/below", 10)
    assert f"{project} is a directory" in refused(str(project), 2)
    assert "is not text: byte 3 is not UTF-8" in refused(f"{project}/latin", 2)
    assert "is not text: it contains NUL bytes" in refused(f"{project}/nul", 2)
    assert f"{option} is empty" in refused("", 2)
    assert "cannot be read: Too many levels" in refused(_loop(project), 1)
    assert run("list -a -q").stdout == ""
    assert "```\ntext\n```" in sent(run, f"{option} {project}/bom -p Go", project)


def _loop(project: Path) -> str:
    """A name that cannot be opened, whoever asks: modes do not stop root."""
    os.symlink("loop", project / "loop")
    return str(project / "loop")


# Issues


def test_an_issue_goes_first(run: Run, project: Path, gh: Callable[..., Path]) -> None:
    record = gh()
    assert sent(run, "--issue 42 --repo o/r -p 'Fix it.'", project) == (
        "GitHub issue #42: It crashes\nhttps://github.com/o/r/issues/42\n"
        "````\n```\nTraceback\n```\n````\n\nFix it."
    )
    asked = json.loads(record.read_text())
    assert asked["argv"] == ["issue", "view", "42", "--json", "number,title,body,url", "--repo", "o/r"]
    assert (asked["cwd"], asked["stdin"], asked["prompts"]) == (str(project), "", "1")


def test_without_a_repository_gh_tells_it_from_the_directory(
    run: Run, project: Path, gh: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", str(project)], check=True)
    record = gh()
    monkeypatch.setenv("GH_FORCE_TTY", "80")
    assert sent(run, "--issue 42", project).endswith("````")
    asked = json.loads(record.read_text())
    assert "--repo" not in asked["argv"]
    assert (asked["cwd"], asked["tty"]) == (str(project), None)


@pytest.mark.parametrize(
    ("failure", "code", "message", "hint"),
    [
        ("login", 1, "gh is not logged in", "gh auth login"),
        ("issue", 10, "no issue #42 in o/r", "gh issue list"),
        ("repository", 10, "no repository o/r that you may read", "gh auth status"),
        ("remotes", 1, "this directory has no GitHub remote", "--repo OWNER/NAME"),
        ("outside", 1, "this directory has no GitHub remote", "--repo OWNER/NAME"),
        ("other", 1, "issue #42 of o/r cannot be read: check your internet connection", None),
    ],
)
def test_what_gh_cannot_do_is_explained(
    run: Run,
    project: Path,
    gh: Callable[..., Path],
    failure: str,
    code: int,
    message: str,
    hint: str | None,
) -> None:
    status, said = FAILURES[failure]
    gh(out="", code=status, err=said)
    words = f"launch exec --cwd {project} --issue 42 --repo o/r -p Go --json -- cat"
    told = run(words, exit=code).error()
    assert message in told["message"]
    assert (hint is None and told["hint"] is None) or hint in told["hint"]
    assert run("list -a -q").stdout == ""


@pytest.mark.parametrize("answer", ["", "{}", "[]", "null", "not json", '{"number": "x", "title": 1}'])
def test_an_answer_that_is_no_issue(run: Run, project: Path, gh: Callable[..., Path], answer: str) -> None:
    gh(out=answer)
    told = run(f"launch exec --cwd {project} --issue 42 -p Go -- cat", exit=1).stderr
    assert "the answer of gh is not an issue" in told


def test_without_gh_it_says_where_to_get_it(run: Run, project: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    words = f"launch exec --cwd {project} --issue 42 -p Go --json -- cat"
    told = run(words, exit=12, env={"PATH": str(tmp_path / "empty")}).error()
    assert told["code"] == "program_unavailable"
    assert "https://cli.github.com" in told["hint"]


def test_options_that_say_nothing_alone(run: Run) -> None:
    assert "needs --issue" in run("launch exec --repo o/r -p Go -- cat", exit=2).stderr
    assert "needs --spec or --file" in run("launch exec --max-file-size 1k -p Go -- cat", exit=2).stderr
    for wrong in ("o", "o/r/s/t", "-o/r", "o/", "https://github.com/o/r"):
        assert "OWNER/NAME" in run(["launch", "exec", "--issue", "1", f"--repo={wrong}"], exit=2).stderr
    run("launch exec --issue 0 -p Go -- cat", exit=2)
