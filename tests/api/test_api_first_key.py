"""`python -m api.first_key`: creates the first admin key, with access to the ledger's database."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from api.first_key import FirstKeyRefusedError, first_key
from api.keys.text import KeyText
from config.settings import Settings
from settlement.keys import Role
from tests.api.api_harness import PEPPER, ApiHarness, bearer
from tests.support.forks import PROGRAMS


@pytest.fixture
def settings(engine: AsyncEngine, tmp_path: Path) -> Settings:
    """Return settings with the ledger of the test and the pepper of the harness."""
    return Settings(
        database_url=SecretStr(engine.url.render_as_string(hide_password=False)),
        state_dir=tmp_path / "state",
        api_key_pepper=SecretStr(PEPPER.decode()),
    )


async def test_the_first_key_manages_keys_and_is_marked(settings: Settings, api_with_keys: ApiHarness) -> None:
    key = await first_key(settings, "boss", force=False)
    (shown,) = (await api_with_keys.http.get("/v1/api-keys", headers=bearer(key))).json()["items"]
    assert (shown["client"], shown["role"], shown["companies"], shown["createdBy"]) == (
        "boss",
        "admin",
        "all",
        "first-key",
    )


async def test_a_second_first_key_is_rejected(settings: Settings) -> None:
    await first_key(settings, "boss", force=False)
    with pytest.raises(FirstKeyRefusedError, match=r"an active admin key exists \(client boss\)"):
        await first_key(settings, "deputy", force=False)


async def test_keys_of_other_roles_and_revoked_ones_do_not_count(settings: Settings, api_with_keys: ApiHarness) -> None:
    for role in set(Role) - {Role.ADMIN}:
        await api_with_keys.create_key(role)
    key = await first_key(settings, "boss", force=False)
    await api_with_keys.app.state.services.keys.revoke(key.partition(".")[0], "boss")
    assert await first_key(settings, "boss", force=False)


async def test_with_force_further_keys_are_created_up_to_the_limit(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.keys.ACTIVE_KEYS_MAX", 2)
    keys = [await first_key(settings, "boss", force=True) for _ in range(2)]
    assert len(set(keys)) == 2
    with pytest.raises(FirstKeyRefusedError, match="boss already has"):
        await first_key(settings, "boss", force=True)


@pytest.mark.parametrize("client", ["", "Boss", "first-key", "o" * 65])
async def test_an_invalid_client_is_rejected(settings: Settings, client: str) -> None:
    with pytest.raises(FirstKeyRefusedError, match="CLIENT: "):
        await first_key(settings, client, force=False)


@pytest.mark.parametrize("path", ["{folder}/not-migrated.db", "{folder}/gone/ledger.db"])
async def test_a_missing_or_unmigrated_ledger_is_named(settings: Settings, tmp_path: Path, path: str) -> None:
    elsewhere = settings.model_copy(update={"database_url": SecretStr(f"sqlite:///{path.format(folder=tmp_path)}")})
    with pytest.raises(FirstKeyRefusedError, match=r"the ledger cannot be written: OperationalError.*ledger\.migrate"):
        await first_key(elsewhere, "boss", force=False)


@dataclass
class Done:
    """How the command ended."""

    code: int
    out: str
    err: str


async def command(settings: Settings, *arguments: str) -> Done:
    """Run the command as an operator does, with the pepper in the state directory."""
    env = {"SETTLEMENT_STATE_DIR": str(settings.state_dir), "SETTLEMENT_DATABASE_URL": settings.ledger_url}
    return Done(*await PROGRAMS.run("api.first_key", arguments, env))


async def test_the_command_prints_the_key_and_nothing_else(settings: Settings) -> None:
    made = await command(settings, "boss")
    assert made.code == 0
    (key,) = made.out.splitlines()
    assert KeyText.parse(key) is not None
    assert key not in made.err
    refused = await command(settings, "boss")
    assert (refused.code, refused.out) == (1, "")
    assert "--force" in refused.err
    forced = await command(settings, "boss", "--force")
    assert forced.code == 0
    assert forced.out != made.out
