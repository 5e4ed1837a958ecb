"""GET /v1/security-events: who made and revoked keys, was refused, paused a system, changed limits and ran batches."""

from typing import Any

from api.recorded_limits import record_limits
from settlement.keys import Role
from settlement.order_limits import OrderLimit, OrderLimits
from tests.api.api_harness import ApiHarness, bearer
from tests.support.polling import until

EVENTS = "/v1/security-events"


async def events(api: ApiHarness, key: str, **params: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - any parameter
    answer = await api.http.get(EVENTS, params=params, headers=bearer(key))
    assert answer.status_code == 200
    return list(answer.json()["items"])


async def test_acts_are_listed_with_client_and_key(api_with_keys: ApiHarness) -> None:
    admin, operator = [await api_with_keys.create_key(role, f"{role}-7") for role in (Role.ADMIN, Role.OPERATOR)]
    made = await api_with_keys.http.post(
        "/v1/api-keys", json={"client": "new", "role": "viewer", "companies": [1]}, headers=bearer(admin)
    )
    key_id = made.json()["keyId"]
    for _ in range(2):
        await api_with_keys.http.post(f"/v1/api-keys/{key_id}/revocation", headers=bearer(admin))
    for act in ("pause", "resume"):
        path = f"/v1/external-systems/default/{act}"
        await api_with_keys.http.post(path, json={"note": "checked"}, headers=bearer(operator))
    admin_id, operator_id = admin.partition(".")[0], operator.partition(".")[0]
    found = await events(api_with_keys, admin, limit=4)
    assert [(each["kind"], each["client"], each["keyId"], each["subject"]) for each in reversed(found)] == [
        ("KEY_CREATED", "admin-7", admin_id, key_id),
        ("KEY_REVOKED", "admin-7", admin_id, key_id),
        ("SYSTEM_PAUSED", "operator-7", operator_id, "default"),
        ("SYSTEM_RESUMED", "operator-7", operator_id, "default"),
    ]
    assert await events(api_with_keys, operator, limit=4) == found
    older = await events(api_with_keys, operator, before=found[-1]["eventId"])
    assert [each["kind"] for each in older] == ["KEY_CREATED", "KEY_CREATED"]


async def test_refused_keys_are_counted_and_no_secret_is_recorded(api_with_keys: ApiHarness) -> None:
    admin = await api_with_keys.create_key(Role.ADMIN, "boss")
    forged = "0123456789abcdef." + "A" * 59
    for _ in range(3):
        assert (await api_with_keys.http.get("/v1/settlements", headers=bearer(forged))).status_code == 401

    async def is_recorded() -> bool:
        return any(each["kind"] == "KEYS_REFUSED" for each in await events(api_with_keys, admin))

    await until(is_recorded)
    (event,) = [each for each in await events(api_with_keys, admin) if each["kind"] == "KEYS_REFUSED"]
    assert "0123456789abcdef" in event["detail"]
    assert "AAAA" not in str(event)


async def test_limits_are_recorded_once_and_again_when_they_differ(api_with_keys: ApiHarness) -> None:
    admin = await api_with_keys.create_key(Role.ADMIN, "boss")
    services = api_with_keys.app.state.services
    for _ in range(2):
        await record_limits(services)
    services.order_limits.active = OrderLimits((OrderLimit("per-day", per_order="5"),))
    for _ in range(2):
        await record_limits(services)
    found = [each for each in await events(api_with_keys, admin) if each["kind"] == "LIMITS_CHANGED"]
    assert len(found) == 2
    assert '"per_order": "5"' in found[0]["detail"]
