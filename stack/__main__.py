"""The commands `python -m stack up` and `python -m stack demo`."""

import argparse
import asyncio
import sys

from stack.demo import demo
from stack.process import StackError
from stack.up import up


def main() -> int:
    """Run the command; return 0 on success, 1 with a message on failure, 130 on Ctrl-C."""
    parser = argparse.ArgumentParser(prog="stack", description="The whole system on this machine.")
    parser.add_argument("command", choices=["up", "demo"])
    command = parser.parse_args().command
    try:
        asyncio.run(up() if command == "up" else demo())
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
