"""Liveness: the whole table of lock and identity, written out."""

from __future__ import annotations

from itertools import product

import pytest

from agentctl.core.liveness import explain, judge, together
from agentctl.core.model import Held, Life, Liveness

TABLE: dict[tuple[Held, Life | None], Liveness] = {
    (Held.YES, None): Liveness.ALIVE,
    (Held.YES, Life.ALIVE): Liveness.ALIVE,
    (Held.YES, Life.GONE): Liveness.ENDING,
    (Held.YES, Life.ZOMBIE): Liveness.ENDING,
    (Held.YES, Life.REBOOTED): Liveness.ALIVE,
    (Held.YES, Life.FOREIGN): Liveness.ALIVE,
    (Held.YES, Life.UNSEEN): Liveness.ALIVE,
    (Held.YES, Life.UNREADABLE): Liveness.ALIVE,
    (Held.NO, None): Liveness.DEAD,
    (Held.NO, Life.ALIVE): Liveness.ALIVE,
    (Held.NO, Life.GONE): Liveness.DEAD,
    (Held.NO, Life.ZOMBIE): Liveness.DEAD,
    (Held.NO, Life.REBOOTED): Liveness.DEAD,
    (Held.NO, Life.FOREIGN): Liveness.UNKNOWN,
    (Held.NO, Life.UNSEEN): Liveness.UNKNOWN,
    (Held.NO, Life.UNREADABLE): Liveness.UNKNOWN,
    (Held.UNKNOWN, None): Liveness.UNKNOWN,
    (Held.UNKNOWN, Life.ALIVE): Liveness.ALIVE,
    (Held.UNKNOWN, Life.GONE): Liveness.DEAD,
    (Held.UNKNOWN, Life.ZOMBIE): Liveness.DEAD,
    (Held.UNKNOWN, Life.REBOOTED): Liveness.DEAD,
    (Held.UNKNOWN, Life.FOREIGN): Liveness.UNKNOWN,
    (Held.UNKNOWN, Life.UNSEEN): Liveness.UNKNOWN,
    (Held.UNKNOWN, Life.UNREADABLE): Liveness.UNKNOWN,
}

LIVES: tuple[Life | None, ...] = (None, *Life)


def test_the_table_leaves_no_combination_out() -> None:
    assert set(TABLE) == set(product(Held, LIVES))


@pytest.mark.parametrize("tree", Held)
@pytest.mark.parametrize(("lock", "agent"), TABLE)
def test_lock_and_identity_together(lock: Held, agent: Life | None, tree: Held) -> None:
    nothing_is_left = (lock, agent, tree) == (Held.NO, Life.UNSEEN, Held.NO)
    assert judge(lock, agent, tree) is (Liveness.DEAD if nothing_is_left else TABLE[lock, agent])


@pytest.mark.parametrize("agent", LIVES)
def test_a_held_lock_never_goes_with_another_boot(agent: Life | None) -> None:
    """Two clones of one machine have one id: the holder lives, so its boot is not an earlier one."""
    assert "earlier boot" not in explain(Held.YES, agent, 42, Held.UNKNOWN)


def test_several_locks_are_free_only_if_all_are() -> None:
    for kinds in product(Held, repeat=2):
        expected = Held.YES if Held.YES in kinds else Held.NO if set(kinds) == {Held.NO} else Held.UNKNOWN
        assert together(frozenset(kinds)) is expected


def test_a_held_lock_is_never_dead() -> None:
    """The shim still has the exit file to write: calling it dead would invent a loss."""
    cases = product(LIVES, Held)
    assert all(judge(Held.YES, agent, tree) is not Liveness.DEAD for agent, tree in cases)


def test_a_living_identity_is_alive_whatever_the_lock_says() -> None:
    assert {judge(lock, Life.ALIVE, tree) for lock, tree in product(Held, Held)} == {Liveness.ALIVE}


def test_another_machine_is_never_dead() -> None:
    """A shared home: the process may live where nobody here can see it."""
    cases = product(Held, (Life.FOREIGN, Life.UNREADABLE), Held)
    assert all(judge(*case) is not Liveness.DEAD for case in cases)


@pytest.mark.parametrize(
    ("lock", "agent", "pid", "words"),
    [
        (Held.YES, None, None, "liveness lock held, no agent process recorded"),
        (Held.YES, Life.ALIVE, 42, "liveness lock held, pid 42 alive"),
        (Held.NO, Life.GONE, 42, "liveness lock free, pid 42 gone"),
        (Held.NO, Life.ZOMBIE, 42, "liveness lock free, pid 42 is a zombie"),
        (Held.NO, Life.REBOOTED, 42, "liveness lock free, pid 42 belongs to an earlier boot"),
        (
            Held.UNKNOWN,
            Life.FOREIGN,
            42,
            "liveness lock unknown, pid 42 belongs to another machine",
        ),
        (
            Held.NO,
            Life.UNSEEN,
            42,
            "liveness lock free, pid 42 belongs to another container, which is not visible here, "
            "tree locks free",
        ),
        (Held.UNKNOWN, Life.UNREADABLE, 42, "liveness lock unknown, pid 42 cannot be identified"),
    ],
)
def test_the_evidence_names_lock_and_process(
    lock: Held, agent: Life | None, pid: int | None, words: str
) -> None:
    assert explain(lock, agent, pid, Held.NO) == words
