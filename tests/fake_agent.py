"""A real child that does what its arguments say, in their order. It needs no package.

ready        print `ready` (the handlers named before it are in place by then)
say:TEXT     print TEXT
trap:TERM    from now on print `got TERM` for this signal and go on
cat          print standard input
sleep:SECS   wait so long
die:KILL     be killed by this signal
exit:N       leave with this status
"""

import os
import select
import signal
import sys


def main(orders: list[str]) -> int:
    """Carry out the orders; 0 once none is left."""
    for order in orders:
        verb, _, value = order.partition(":")
        match verb:
            case "ready":
                print("ready", flush=True)
            case "say":
                print(value, flush=True)
            case "trap":
                number = signal.Signals[f"SIG{value}"]
                signal.signal(number, lambda *_, name=value: print(f"got {name}", flush=True))
            case "cat":
                print(sys.stdin.read(), end="", flush=True)
            case "sleep":
                select.select([], [], [], float(value))
            case "die":
                fatal = signal.Signals[f"SIG{value}"]
                if fatal is not signal.SIGKILL:
                    signal.signal(fatal, signal.SIG_DFL)  # Python itself ignores PIPE and handles INT
                os.kill(os.getpid(), fatal)
            case "exit":
                return int(value)
            case _:
                raise ValueError(f"not an order: {order}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
