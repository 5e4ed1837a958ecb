"""The command `settlement-conformance` as a process, as scripts run it."""

from tests.support.cli import Ran, environment
from tests.support.forks import CONFORMANCE


async def conformance(*arguments: str, **variables: str) -> Ran:
    """Run one command with these environment variables to its end."""
    return Ran(*await CONFORMANCE.run("conformance", arguments, environment(**variables)))
