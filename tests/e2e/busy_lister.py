"""Runs `agentctl list -q` at least once, and again until a file appears: `busy_lister.py FILE`.

Each round is a whole invocation, with a runtime and a database connection of its own, in
one interpreter: so several a second compete for every transition. Prints what failed.
"""

from __future__ import annotations

import os
import sys

from agentctl.cli import main

if __name__ == "__main__":
    rounds, printed = 0, sys.stdout
    while not rounds or not os.path.exists(sys.argv[1]):
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # as long as the round
        code = main(["list", "-q"])
        sys.stdout.close()
        rounds += 1
        if code != 0:
            sys.stderr.write(f"round {rounds}: exit {code}\n")
            sys.exit(1)
    sys.stdout = printed
    printed.write(f"{rounds}\n")
    sys.exit(0)
