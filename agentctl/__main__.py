"""Entry point of `agentctl` and of `python -m agentctl`."""

import os
import sys
from contextlib import suppress


def main() -> None:
    """Run the command line; the exit status is `cli`'s business.

    Leaves without taking the interpreter apart, which takes longer than most commands:
    by then whatever was opened is closed, and whatever was printed is flushed.
    """
    try:
        from agentctl.cli import main as run

        code = run()
    except KeyboardInterrupt:
        code = 130
    with suppress(OSError, AttributeError, ValueError):
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
