"""Run one command and turn however it ends into an exit code."""

import sys
import traceback
from collections.abc import Sequence

from cli.app import app
from cli.exits import CliError, Exit, ReaderGoneError
from cli.options import FLAGS, hoisted
from cli.screen import Screen
from cli.streams import secure


def run(arguments: Sequence[str]) -> int:
    """Run the command that the arguments ask for; return its exit code. Nothing is raised, nothing traced."""
    secure()
    ordered = hoisted(arguments)
    try:
        app(args=ordered, prog_name="settlement")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else Exit.OK
    except ReaderGoneError as error:
        return error.code
    except CliError as error:
        Screen(as_json=FLAGS[0] in ordered).fail(error)
        return error.code
    except Exception as error:  # noqa: BLE001 - whoever is on call gets a sentence, not a traceback
        where = traceback.extract_tb(error.__traceback__)[-1]
        print(f"error: a fault of this program: {type(error).__name__} at {where.name}:{where.lineno}", file=sys.stderr)  # noqa: T201 - for whoever is on call
        return Exit.OURS
    return Exit.OK
