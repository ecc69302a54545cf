"""One look at one session: what is believed of its files, and the order in which they are read."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from agentctl.core.decide import decide
from agentctl.core.model import AgentVerdict, ExitRecord, Held, Listing, Liveness, Session
from agentctl.host import flock as liveness
from agentctl.host import processes
from agentctl.ops.reconcile.observe import look, observe, read_agent, read_exit
from tests.adapters.opencode_samples import LOGS, copy_store
from tests.conftest import WaitUntil
from tests.planting import ABSENT, NOON, Field, make_fuse, seconds, suspend, write_exit

ID = "4b1f0f9e-0000-4000-8000-000000000001"


class TestExitFile:
    @pytest.mark.parametrize(
        ("text", "code"),
        [("0\n", 0), ("7\n", 7), ("143\n", 143), ("255\n", 255), ("0", 0), (" 3 \n", 3)],
    )
    def test_a_status_is_read_with_its_instant(self, text: str, code: int, field: Field) -> None:
        files = field.directory(ID)
        write_exit(files, text, NOON)
        assert read_exit(files) == ExitRecord(code=code, at=NOON)

    @pytest.mark.parametrize("text", ["", "\n", "256\n", "-1\n", "0x1\n", "1\n2\n", "²\n", "9" * 20])
    def test_anything_else_is_a_record_without_a_code(self, text: str, field: Field) -> None:
        files = field.directory(ID)
        write_exit(files, text, NOON)
        assert read_exit(files) == ExitRecord(code=None, at=NOON)

    def test_what_is_not_a_file_is_not_a_record(self, field: Field) -> None:
        files = field.directory(ID)
        os.mkdir(files.exit)
        assert read_exit(files) is None

    def test_none_is_none(self, field: Field) -> None:
        assert read_exit(field.directory(ID)) is None
        assert read_exit(field.paths.session("never-made")) is None

    def test_a_half_written_one_is_not_looked_at(self, field: Field) -> None:
        files = field.directory(ID)
        Path(f"{files.exit}.new").write_text("0\n")
        assert read_exit(files) is None


class TestPidFile:
    def test_what_a_shim_writes_identifies_its_agent(self, field: Field) -> None:
        agent = field.start(began=NOON)
        record = read_agent(agent.files)
        assert record is not None
        assert (record.pid, record.start_token, record.started_at) == (agent.pid, agent.token, NOON)
        assert record.start_token == processes.token_of(agent.pid)

    @pytest.mark.parametrize("text", ["", "12", "12 34", "x 1 2 3", "-5 1 2 3", "\xff\xfe"])
    def test_what_no_shim_writes_is_none(self, text: str, field: Field) -> None:
        files = field.directory(ID)
        Path(files.pid).write_text(text)
        assert read_agent(files) is None

    def test_none_is_none(self, field: Field) -> None:
        assert read_agent(field.directory(ID)) is None

    def test_the_surroundings_are_those_of_the_machine_that_wrote_it(self, field: Field) -> None:
        """A home that two machines share: the reader's own machine and namespace say nothing."""
        files = field.directory(ID)
        boot, machine = "b" * 36, "c" * 32
        Path(files.pid).write_text(f"12 345 {boot} 11 344 {machine} 42\n")
        record = read_agent(files)
        assert record is not None
        assert (record.pid, record.start_token) == (12, f"345:{boot}:{machine}:42")

    def test_one_of_an_earlier_version_names_the_boot_alone(self, field: Field) -> None:
        agent = field.start()
        pid, ticks, boot, shim, *_ = Path(agent.files.pid).read_text().split()
        for text in (f"{pid} {ticks} {boot}", f"{pid} {ticks} {boot} {shim}"):
            Path(agent.files.pid).write_text(f"{text}\n")
            record = read_agent(agent.files)
            assert record is not None
            assert record.start_token == f"{ticks}:{boot}:-:-"


class TestOrder:
    def test_an_end_between_the_looks_is_not_a_loss(
        self, field: Field, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The agent ends and its shim leaves right after the lock was probed."""
        agent = field.start()
        session = field.plant(agent)
        probe = liveness.probe

        def probe_then_end(path: str) -> Held:
            held = probe(path)
            agent.leave(signal.SIGTERM)
            return held

        monkeypatch.setattr(liveness, "probe", probe_then_end)
        seen = look(session, agent.files)
        assert seen.exit is not None
        assert seen.exit.code == 143

    def test_an_end_before_the_exit_file_is_read_is_not_a_loss(
        self, field: Field, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The same, after the process was looked for."""
        agent = field.start()
        session = field.plant(agent)
        look_for = processes.find

        def look_then_end(pid: int, token: str | None) -> object:
            found = look_for(pid, token)
            monkeypatch.undo()
            agent.leave(signal.SIGTERM)
            return found

        monkeypatch.setattr(processes, "find", look_then_end)
        seen = look(session, agent.files)
        assert seen.exit is not None
        assert seen.exit.code == 143

    def test_without_a_lock_file_a_shim_gets_a_moment_to_write(
        self, field: Field, wait_until: WaitUntil
    ) -> None:
        """No lock to wait for: the shim is held up for 0.1 s after its agent has gone."""
        agent = field.start()
        session = field.plant(agent)
        suspend(agent.shim.pid)
        agent.kill(signal.SIGTERM)
        wait_until(agent.is_gone)
        os.unlink(agent.files.lock)
        later = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.1; kill -CONT {agent.shim.pid}"])
        seen = look(session, agent.files)
        later.wait()
        assert seen.exit is not None
        assert seen.exit.code == 143


class TestLiveness:
    def test_under_its_shim_it_is_alive_and_supervised(self, field: Field) -> None:
        agent = field.start()
        seen = look(field.plant(agent), agent.files)
        assert (seen.liveness, seen.supervised, seen.exit) == (Liveness.ALIVE, True, None)
        assert seen.evidence == f"liveness lock held, pid {agent.pid} alive"

    def test_without_its_shim_it_is_alive_and_unsupervised(self, field: Field) -> None:
        agent = field.start()
        session = field.plant(agent)
        agent.shim.kill()
        agent.shim.wait()
        seen = look(session, agent.files)
        assert (seen.liveness, seen.supervised) == (Liveness.ALIVE, False)

    def test_a_zombie_under_a_held_lock_is_ending(self, field: Field, wait_until: WaitUntil) -> None:
        agent = field.start()
        session = field.plant(agent)
        suspend(agent.shim.pid)
        agent.kill()
        wait_until(agent.is_gone)
        assert look(session, agent.files).liveness is Liveness.ENDING

    def test_without_shim_and_agent_it_is_dead(self, field: Field) -> None:
        agent = field.start()
        session = field.plant(agent)
        agent.vanish()
        assert look(session, agent.files).liveness is Liveness.DEAD

    def test_a_stopped_agent_is_alive_and_suspended(self, field: Field) -> None:
        agent = field.start()
        session = field.plant(agent)
        suspend(agent.pid)
        seen = look(session, agent.files)
        assert (seen.liveness, seen.suspended) == (Liveness.ALIVE, True)
        assert seen.evidence == f"liveness lock held, pid {agent.pid} alive, suspended (SIGSTOP)"
        verdict = decide(session, None, seen, NOON)
        assert f"process {agent.pid} is suspended (SIGSTOP)" in verdict.reason
        agent.kill(signal.SIGCONT)
        assert not look(session, agent.files).suspended

    def test_the_timers_own_record_is_seen(self, field: Field) -> None:
        agent = field.start()
        session = field.plant(agent)
        assert not look(session, agent.files).fired
        Path(agent.files.fired).write_text("1\n")
        assert look(session, agent.files).fired

    def test_the_pid_file_speaks_for_a_row_that_has_no_pid_yet(self, field: Field) -> None:
        agent = field.start()
        session = field.plant(id=agent.session_id)
        seen = look(session, agent.files)
        assert seen.agent is not None
        assert (seen.agent.pid, seen.liveness) == (agent.pid, Liveness.ALIVE)


class TestTheAgentsOwnStore:
    def unlisted(self, field: Field, tmp_path: Path) -> Session:
        store = str(copy_store(tmp_path))
        return field.plant(field.start(), adapter="opencode", native_id=ABSENT, store_path=store)

    def test_it_is_asked_only_where_the_verdict_hangs_on_it(self, field: Field, tmp_path: Path) -> None:
        session = self.unlisted(field, tmp_path)
        files = field.directory(session.id)
        fuse = make_fuse(seconds(3600), since=NOON)
        past, inside = NOON + seconds(30), NOON + seconds(29.999)
        assert observe(session, None, files, past).listing is Listing.ABSENT
        assert observe(session, None, files, inside).listing is Listing.UNAVAILABLE
        assert observe(session, fuse, files, past).listing is Listing.UNAVAILABLE
        assert observe(session, fuse, files, NOON + seconds(3600)).listing is Listing.ABSENT

    def test_a_native_id_is_learnt_from_the_log_of_a_live_agent(self, field: Field, tmp_path: Path) -> None:
        agent = field.start(session_id="ok-0000")
        session = field.plant(agent, adapter="opencode", store_path=str(tmp_path / "opencode.db"))
        Path(agent.files.log).write_bytes((LOGS / "ok.log").read_bytes())
        seen = observe(session, None, agent.files, NOON)
        assert seen.result.native_id == "ses_dfd13bb6affetFchSLJI2DUd4q"

    def test_an_adapter_that_is_not_installed_any_more_is_no_obstacle(self, field: Field) -> None:
        agent = field.start("exit:3")
        session = field.plant(agent, adapter="no-such-adapter")
        agent.shim.wait()
        seen = observe(session, None, agent.files, NOON)
        assert seen.exit is not None
        assert seen.exit.code == 3
        assert seen.result.notes == ("unknown adapter: no-such-adapter",)

    @pytest.mark.parametrize("wanted", ["ses_dfd13848bffei7D36wzoqZ11dB", "ses_another"])
    def test_another_conversation_than_the_one_asked_for_is_an_error(
        self, wanted: str, field: Field, tmp_path: Path
    ) -> None:
        agent = field.start("exit:0")
        store = str(tmp_path / "opencode.db")
        session = field.plant(agent, adapter="opencode", native_id=wanted, store_path=store)
        Path(agent.files.log).write_bytes((LOGS / "resumed.log").read_bytes())
        agent.shim.wait()
        report = observe(session, None, agent.files, NOON).result
        if wanted == "ses_another":
            assert report.verdict is AgentVerdict.ERROR
            assert report.text == (
                "the agent went on with another conversation: ses_dfd13848bffei7D36wzoqZ11dB, not ses_another"
            )
        else:
            assert report.verdict is AgentVerdict.OK

    @pytest.mark.parametrize("has_ended", [True, False])
    def test_silence_is_a_verdict_only_once_the_agent_has_ended(self, has_ended: bool, field: Field) -> None:
        """slate can leave with exit 0 without having asked its model."""
        agent = field.start("exit:0" if has_ended else "sleep:60")
        session = field.plant(agent, adapter="slate")
        if has_ended:
            agent.shim.wait()
        verdict = observe(session, None, agent.files, NOON).result.verdict
        assert verdict is (AgentVerdict.ERROR if has_ended else AgentVerdict.SILENT)
