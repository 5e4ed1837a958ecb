"""API keys over HTTP: shown once, a limited number per client, revoked permanently, with who did it."""

from collections.abc import MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from api.keys.text import KeyText
from ledger import KeyRing
from ledger.tables import api_keys
from settlement.keys import RESERVED_CLIENTS, Role
from tests.api.api_harness import PEPPER, SETTLEMENTS, ApiHarness, bearer

API_KEYS = "/v1/api-keys"


class Admin:
    """A caller who manages keys."""

    def __init__(self, api: ApiHarness, key: str) -> None:
        self._api = api
        self._headers = bearer(key)

    async def create(
        self, client: object = "ops-1", role: object = "operator", companies: object = "all", **more: object
    ) -> httpx2.Response:
        """Request a key."""
        body = {"client": client, "role": role, "companies": companies, **more}
        return await self._api.http.post(API_KEYS, json=body, headers=self._headers)

    async def revoke(self, key_id: str) -> httpx2.Response:
        """Request the revocation of a key."""
        return await self._api.http.post(f"{API_KEYS}/{key_id}/revocation", headers=self._headers)

    async def listed(self) -> list[dict[str, Any]]:
        """Return all keys."""
        answer = await self._api.http.get(API_KEYS, headers=self._headers)
        return list(answer.json()["items"])


@pytest.fixture
async def admin(api_with_keys: ApiHarness) -> Admin:
    return Admin(api_with_keys, await api_with_keys.create_key(Role.ADMIN, "boss"))


async def status_with(api: ApiHarness, key: str) -> int:
    """Return the status of a read with a key."""
    return (await api.http.get(SETTLEMENTS, headers=bearer(key))).status_code


async def test_a_created_key_is_shown_once_and_works(api_with_keys: ApiHarness, admin: Admin) -> None:
    before = datetime.now(UTC)
    answer = await admin.create(companies=[2, 1], expiresInS=3600)
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    made = answer.json()
    created_at = datetime.fromisoformat(made.pop("createdAt"))
    assert before <= created_at <= datetime.now(UTC)
    assert datetime.fromisoformat(made.pop("expiresAt")) == created_at + timedelta(seconds=3600)
    key = made.pop("apiKey")
    assert key.startswith(made["keyId"] + ".")
    assert made == {
        "keyId": made["keyId"],
        "client": "ops-1",
        "role": "operator",
        "companies": [1, 2],
        "createdBy": "boss",
        "lastUsedAt": None,
        "revokedAt": None,
        "revokedBy": None,
    }
    assert await status_with(api_with_keys, key) == 200


async def test_a_secret_has_256_bits_and_is_unique(admin: Admin) -> None:
    keys = [(await admin.create(f"ops-{each}")).json()["apiKey"] for each in range(5)]
    secrets = [key.partition(".")[2][:43] for key in keys]
    assert len({*secrets}) == 5
    assert all(len(key) == 16 + 1 + 43 + 16 for key in keys), (
        "43 characters of 6 bits hold 32 bytes; 16 characters are the check"
    )


async def test_the_list_shows_every_key_and_no_secret(api_with_keys: ApiHarness, admin: Admin) -> None:
    made = [(await admin.create(f"ops-{each}")).json() for each in range(3)]
    shown = await admin.listed()
    assert [key["keyId"] for key in shown[:3]] == [key["keyId"] for key in reversed(made)]
    assert [{**key, "apiKey": secret["apiKey"]} for key, secret in zip(shown, reversed(made), strict=False)] == made[
        ::-1
    ]
    text = str(shown) + (await api_with_keys.http.get("/openapi.json")).text
    assert not [key for key in made if key["apiKey"].partition(".")[2] in text]


async def test_the_database_has_only_the_keyed_hash(admin: Admin, engine: AsyncEngine) -> None:
    """A thief of the database can neither use a key nor test a guess."""
    key = (await admin.create()).json()["apiKey"]
    async with engine.connect() as connection:
        row = (await connection.execute(select(api_keys).where(api_keys.c.client == "ops-1"))).one()
    sent = KeyText.parse(key)
    assert sent is not None
    (record, _) = await KeyRing(engine).listed()
    other = sent.record_hash(b"another pepper of 32 bytes or more", record)
    assert row.record_hash == sent.record_hash(PEPPER, record) != other
    assert sent.secret not in str(row)


async def test_neither_secret_nor_pepper_is_logged(
    api_with_keys: ApiHarness, admin: Admin, logs: list[MutableMapping[str, Any]]
) -> None:
    key = (await admin.create()).json()["apiKey"]
    await status_with(api_with_keys, key)
    await status_with(api_with_keys, key[:-1] + "~")
    await admin.revoke(key.partition(".")[0])
    await status_with(api_with_keys, key)
    assert key.partition(".")[2][:-1] not in repr(logs)
    assert PEPPER.decode() not in repr(logs)
    assert KeyText.parse(key) is not None
    assert key.partition(".")[2] not in repr(KeyText.parse(key))


async def test_creating_and_revoking_are_logged_with_the_admin(
    admin: Admin, logs: list[MutableMapping[str, Any]]
) -> None:
    key_id = (await admin.create()).json()["keyId"]
    await admin.revoke(key_id)
    logged = {each["event"]: (each["client"], each["by"]) for each in logs if each.get("key_id") == key_id}
    assert logged == {"api key created": ("ops-1", "boss"), "api key revoked": ("ops-1", "boss")}


async def test_one_more_active_key_is_rejected_until_one_is_revoked(
    admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.keys.ACTIVE_KEYS_MAX", 2)
    first, _, third = [await admin.create() for _ in range(3)]
    assert (third.status_code, third.json()["code"]) == (409, "key-limit-reached")
    assert "ops-1" in third.json()["detail"]
    await admin.revoke(first.json()["keyId"])
    assert (await admin.create()).status_code == 201


async def test_a_revoked_key_is_rejected(api_with_keys: ApiHarness, admin: Admin) -> None:
    made = (await admin.create()).json()
    assert await status_with(api_with_keys, made["apiKey"]) == 200
    await api_with_keys.app.state.services.keys.last_use.written()
    answer = await admin.revoke(made["keyId"])
    assert await status_with(api_with_keys, made["apiKey"]) == 401
    assert (answer.status_code, answer.json()["revokedBy"]) == (200, "boss")
    assert datetime.fromisoformat(answer.json()["revokedAt"]) <= datetime.now(UTC)
    assert answer.json() in await admin.listed()


async def test_the_other_key_of_the_client_keeps_working(api_with_keys: ApiHarness, admin: Admin) -> None:
    """An client replaces a key without interruption: the old key is revoked when the new one is in use."""
    old, new = [(await admin.create()).json() for _ in range(2)]
    await admin.revoke(old["keyId"])
    assert await status_with(api_with_keys, new["apiKey"]) == 200


async def test_a_repeated_revocation_gets_the_same_response_for_every_admin(
    api_with_keys: ApiHarness, admin: Admin
) -> None:
    key_id = (await admin.create()).json()["keyId"]
    first = await admin.revoke(key_id)
    other = Admin(api_with_keys, await api_with_keys.create_key(Role.ADMIN, "deputy"))
    for again in (await admin.revoke(key_id), await other.revoke(key_id)):
        assert (again.status_code, again.json()) == (200, first.json())


@pytest.mark.parametrize("key_id", ["0123456789abcdef", "nothing", "%00", "%ff", "A" * 5000, "0123456789ABCDEF"])
async def test_an_unknown_key_id_is_not_found(admin: Admin, key_id: str) -> None:
    answer = await admin.revoke(key_id)
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_an_admin_may_revoke_its_own_key(admin: Admin) -> None:
    """After that, `python -m api.first_key` creates a new one."""
    (own,) = await admin.listed()
    assert (await admin.revoke(own["keyId"])).status_code == 200
    assert (await admin.create()).status_code == 401


@pytest.mark.parametrize(
    "client",
    ["", "A", "ops 1", "-ops", ".ops", "ops\n", "öps", "o" * 65, 7, None, ["ops"], *sorted(RESERVED_CLIENTS)],
    ids=repr,
)
async def test_an_invalid_or_reserved_client_is_rejected(admin: Admin, client: object) -> None:
    answer = await admin.create(client)
    assert (answer.status_code, answer.json()["code"]) == (422, "validation-failed")
    assert [each["field"] for each in answer.json()["errors"]] == ["client"]


@pytest.mark.parametrize("client", ["a", "0", "ops-1", "a.b_c@d-e", "o" * 64])
async def test_a_valid_client_is_accepted(admin: Admin, client: str) -> None:
    assert (await admin.create(client)).status_code == 201


@pytest.mark.parametrize("role", ["", "root", "ADMIN", "operator ", None, ["operator"], 1])
async def test_a_role_is_one_of_four(admin: Admin, role: object) -> None:
    answer = await admin.create(role=role)
    assert [each["field"] for each in answer.json()["errors"]] == ["role"]


BAD_SCOPES = [[], [1, 1], ["1"], [1.5], [True], [2**63], "ALL", "1,2", None, 1, list(range(101))]


@pytest.mark.parametrize("companies", BAD_SCOPES, ids=lambda value: repr(value)[:20])
async def test_a_scope_is_all_or_a_list_of_distinct_companies(admin: Admin, companies: object) -> None:
    answer = await admin.create(companies=companies)
    assert answer.status_code == 422
    assert {each["field"].partition(".")[0] for each in answer.json()["errors"]} == {"companies"}


async def test_an_admin_needs_the_scope_all(admin: Admin) -> None:
    answer = await admin.create(role="admin", companies=[1])
    assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, ["companies"])


@pytest.mark.parametrize("expires", [59, 3650 * 86_400 + 1, -1, "90d", 60.5, True])
async def test_a_lifetime_has_bounds(admin: Admin, expires: object) -> None:
    answer = await admin.create(expiresInS=expires)
    assert [each["field"] for each in answer.json()["errors"]] == ["expiresInS"]


async def test_another_field_is_rejected(api_with_keys: ApiHarness) -> None:
    body = {"client": "ops-1", "role": "viewer", "companies": "all", "secret": "hunter2"}
    answer = await api_with_keys.http.post(
        API_KEYS, json=body, headers=bearer(await api_with_keys.create_key(Role.ADMIN))
    )
    assert [each["field"] for each in answer.json()["errors"]] == ["secret"]
    assert "hunter2" not in answer.text


async def test_without_keys_they_can_be_created_for_later(
    api_without_temporal: ApiHarness, api_with_keys: ApiHarness
) -> None:
    made = (
        await api_without_temporal.http.post(API_KEYS, json={"client": "boss", "role": "admin", "companies": "all"})
    ).json()
    assert made["createdBy"] == "local"
    assert len(await Admin(api_with_keys, made["apiKey"]).listed()) == 1
