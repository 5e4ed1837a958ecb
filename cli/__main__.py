"""The entry point: `settlement`, or `python -m cli`."""

import sys


def main() -> int:
    """Run one command and return its exit code (`cli.exits.Exit`). It never prints a traceback."""
    try:
        # Imported here so that Ctrl-C during the import of the libraries also ends without a traceback.
        from cli.app import run  # noqa: PLC0415 - see above

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
