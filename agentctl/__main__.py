"""Entry point of `agentctl` and of `python -m agentctl`."""

import sys


def main() -> None:
    """Run the command line; the exit status is `cli`'s business."""
    try:
        from agentctl.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(run())


if __name__ == "__main__":
    main()
