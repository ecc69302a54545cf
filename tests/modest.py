"""The command line as somebody whom modes bind, even where root runs the tests."""

from __future__ import annotations

import ctypes
import subprocess
import sys

_DAC_OVERRIDE, _DAC_READ_SEARCH, _DROP_FROM_BOUNDS = 1, 2, 24


def modestly(words: str) -> subprocess.CompletedProcess[str]:
    """What a run of `agentctl` leaves that may do no more than the modes of files say."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "agentctl", *words.split()],
        capture_output=True,
        text=True,
        preexec_fn=_give_up_rights,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )


def _give_up_rights() -> None:
    # Root's right to ignore modes goes with the exec that follows; others have none to lose.
    libc = ctypes.CDLL(None)
    for capability in (_DAC_OVERRIDE, _DAC_READ_SEARCH):
        libc.prctl(_DROP_FROM_BOUNDS, capability, 0, 0, 0)
