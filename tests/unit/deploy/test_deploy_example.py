"""The example of the variables of docker-compose.yml, .env.example: complete, true, and without secrets."""

import re

from config.settings import ENV_PREFIX, Settings
from tests.unit.deploy.compose_file import CLOUD, COMPOSE, PROXY, ROOT, SECRET, SERVICES, variables

ENV_EXAMPLE = ROOT / ".env.example"


def example_lines() -> dict[str, str]:
    """Return the value in .env.example of each variable, commented out or not."""
    found = re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=(.*)$", ENV_EXAMPLE.read_text(), re.MULTILINE)
    return dict(found)


def test_every_setting_in_the_file_exists() -> None:
    used = {key for service in SERVICES.values() for key in service.get("environment", {})}
    used |= variables(COMPOSE.read_text()).keys() | example_lines().keys()
    known = {f"{ENV_PREFIX}{field}".upper() for field in Settings.model_fields}
    assert {name for name in used if name.startswith(ENV_PREFIX)} <= known


def test_example_contains_exactly_the_variables_of_the_file() -> None:
    assert example_lines().keys() == variables(COMPOSE.read_text() + CLOUD.read_text() + PROXY.read_text()).keys()


def test_example_has_no_secrets_and_no_required_values() -> None:
    required = {name for name, (how, _) in variables(COMPOSE.read_text()).items() if how == "?"}
    open_lines = dict(re.findall(r"^([A-Z][A-Z0-9_]+)=(.*)$", ENV_EXAMPLE.read_text(), re.MULTILINE))
    assert open_lines == dict.fromkeys(required, "")
    assert not [name for name, value in example_lines().items() if SECRET.search(name) and value]


WITHOUT_A_FIXED_DEFAULT = {
    "SETTLEMENT_EXTERNAL_CA_FILE",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "SETTLEMENT_COMPANY_SLOTS",
    "SETTLEMENT_FOUR_EYES_ABOVE",
    "SETTLEMENT_BATCH_SUMS_MAX",
    "SETTLEMENT_ORDER_LIMITS",
    "SETTLEMENT_PAYLOAD_KEYS",
    "TEMPORAL_CODEC_ENDPOINT",
}
"""Variables with an example value."""


def test_example_shows_the_actual_defaults() -> None:
    compose = variables(COMPOSE.read_text() + CLOUD.read_text() + PROXY.read_text())
    for name, shown in example_lines().items():
        how, default = compose[name]
        if how == "?" or name in WITHOUT_A_FIXED_DEFAULT:
            continue
        if default:
            assert shown == default, name
        else:
            field = name.removeprefix(ENV_PREFIX).lower()
            parsed = Settings.model_validate({field: shown})
            assert getattr(parsed, field) == Settings.model_fields[field].default, name
