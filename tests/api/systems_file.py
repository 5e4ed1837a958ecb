"""The app with a file of external systems; by default of two, alpha and beta."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.client import Client

from tests.api.api_harness import WITH_KEYS, ApiHarness, open_api
from tests.support.ledgers import FlakyLedger

SECRET = "Xk29-correct-horse-battery-staple-71"  # noqa: S105 - a marker
TWO = f"""
[systems.alpha]
companies = [7]
base_url = "https://alpha.example"
[systems.alpha.headers]
Authorization = {{ file = "/run/secrets/{SECRET}" }}
X-Api-Key = {{ env = "ENV_{SECRET.replace("-", "_")}" }}
[systems.alpha.retry]
max_attempts = 9

[systems.beta]
companies = [8, 9]
base_url = "https://beta.example"
"""
"""The places of secrets contain a marker: not even they are shown."""


def put(file: Path, text: str) -> None:
    """Write the file."""
    file.write_text(text)


@asynccontextmanager
async def open_with_systems(
    ledger: FlakyLedger, temporal: Client, file: Path, text: str = TWO
) -> AsyncIterator[ApiHarness]:
    """Open the app with keys and with this text as its file of external systems."""
    put(file, text)
    settings = WITH_KEYS.model_copy(update={"external_systems": file})
    async with open_api(ledger, temporal, settings) as opened:
        yield opened


async def load(api: ApiHarness, file: Path, text: str) -> None:
    """Replace the file, and let the API read it."""
    put(file, text)
    await api.app.state.services.systems.refresh()
