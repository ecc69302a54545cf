"""`agentctl list --limit` counts what is shown, not what was looked at."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Run, WaitUntil


def test_a_limit_and_a_status_find_the_older_one_that_matches(
    run: Run, tmp_path: Path, wait_until: WaitUntil
) -> None:
    def launch_and_wait(code: int) -> str:
        words = f"launch exec --settle 0 --cwd {tmp_path} -- sh -c 'exit {code}'"
        session_id = run(words).stdout.strip()
        run(f"wait {session_id}", exit=None)
        return session_id

    def listed(words: str) -> list[str]:
        return [row["id"] for row in run(f"list --json {words}").json()["sessions"]]

    oldest, failed, newest = (launch_and_wait(code) for code in (3, 4, 0))
    assert listed("--status error --limit 1") == [failed]
    assert listed("--status error --limit 2") == [failed, oldest]
    assert listed("--status stopped --limit 1") == [newest]
    assert listed("-a --limit 1") == [newest]
