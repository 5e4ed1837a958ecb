"""The commands `python -m stack up`, `python -m stack dev` and `python -m stack demo`."""

import argparse
import asyncio
import sys

from stack.demo import demo
from stack.dev import dev
from stack.process import StackError
from stack.up import up


def main() -> int:
    """Run the command; return 0 on success, 1 with a message on failure, 130 on Ctrl-C."""
    parser = argparse.ArgumentParser(prog="stack", description="The whole system on this machine.")
    commands = {"up": up, "dev": dev, "demo": demo}
    parser.add_argument("command", choices=list(commands))
    command = parser.parse_args().command
    try:
        asyncio.run(commands[command]())
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
