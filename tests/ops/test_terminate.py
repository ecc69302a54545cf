"""Ending processes that turn out to be another user's."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from agentctl.core.model import Identity
from agentctl.host import processes
from agentctl.host.process_tree import alive
from agentctl.ops.reconcile.terminate import send_alone


def test_another_users_process_is_left_alone_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    # A process of another user exists for certain only where tests run as root, who may signal it.
    # So the refusal comes from a stand-in; what is asked to be signalled is real.
    agent = subprocess.Popen(["sleep", "60"])
    try:
        token = processes.token_of(agent.pid)
        assert token is not None
        target, asked = Identity(agent.pid, token), list[tuple[int, int]]()

        def refuse(pid: int, start_token: str, number: int) -> bool:
            asked.append((pid, number))
            raise PermissionError(1, os.strerror(1))

        monkeypatch.setattr(processes, "signal_process", refuse)
        send_alone(target, signal.SIGTERM)
        assert asked == [(agent.pid, signal.SIGTERM)]
        assert alive([target]) == {target}
    finally:
        agent.kill()
        agent.wait()


def test_a_process_of_our_own_is_ended_even_if_it_was_stopped() -> None:
    agent = subprocess.Popen(["sleep", "60"])
    try:
        token = processes.token_of(agent.pid)
        assert token is not None
        agent.send_signal(signal.SIGSTOP)
        send_alone(Identity(agent.pid, token), signal.SIGTERM)
        assert agent.wait(10) == -signal.SIGTERM
    finally:
        if agent.poll() is None:
            agent.kill()
            agent.wait()
