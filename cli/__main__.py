"""`settlement`, or `python -m cli`."""

import sys


def main() -> int:
    """Run one command and return its exit code (`cli.exits.Exit`); whatever happens, no traceback."""
    try:
        # Imported here: Ctrl-C while the libraries load ends as quietly as it does later.
        from cli.run import run  # noqa: PLC0415 - see above

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
