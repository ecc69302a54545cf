"""A claude that leaves at a call of a tool that a hook has put off, and the resume that makes the call."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Run

PROGRAM = """#!/bin/sh
id=
resumed=no
while [ $# -gt 0 ]; do
    case $1 in
    --session-id) id=$2 ;;
    --resume) id=$2 resumed=yes ;;
    esac
    shift
done
echo '{"type":"system","subtype":"init","session_id":"'$id'","model":"m"}'
case $resumed$(cat) in
yes) stop=end_turn ;;
*) stop=tool_deferred ;;
esac
echo '{"type":"result","subtype":"success","is_error":false,"result":"Done.","stop_reason":"'$stop'"}'
"""


def document(run: Run, session: str) -> dict[str, object]:
    found: dict[str, object] = run(["status", session, "--json"]).json()["sessions"][0]
    return found


def test_it_is_no_success_and_continues_without_a_message(run: Run, tmp_path: Path) -> None:
    program = tmp_path / "claude"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    run(["config", "set", "adapters.claude-code.command", str(program)])
    first = run(
        ["launch", "claude-code", "-p", "do it", "--cwd", str(tmp_path), "--settle", "0"]
    ).stdout.strip()
    run(["wait", first], exit=1)
    told = document(run, first)
    assert told["outcome"] == "failed"
    assert "tool_deferred" in str(told["reason"])
    second = run(["resume", first, "--settle", "0"]).stdout.strip()
    run(["wait", second])
    assert document(run, second)["outcome"] == "succeeded"
    assert "give the message once" in run(["resume", second], exit=2).stderr
