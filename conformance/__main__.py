"""The entry point: `settlement-conformance`, or `python -m conformance`."""

import sys


def main() -> int:
    """Run one command and return its exit code (`conformance.verdict.exit_code`)."""
    try:
        # Imported here so that Ctrl-C during the import of the libraries also ends without a traceback.
        from conformance.app import run  # noqa: PLC0415 - see above

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
