"""The rules of docker-compose.yml for production."""

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from api.__main__ import DRAIN_S
from api.__main__ import END_LIMIT_S as API_END_LIMIT_S
from config.fields import is_loopback
from config.settings import Settings
from settlement.limits import ADJUST_START_TO_CLOSE
from stack.parts import DYNAMIC_CONFIG
from tests.unit.deploy.compose_file import (
    CLOUD,
    COMPOSE,
    JOBS,
    LONG_RUNNING,
    OURS,
    ROOT,
    SECRET,
    SERVICES,
    SYSTEMS,
    VARIABLE,
    resolved,
    variables,
)
from worker import END_LIMIT_S, GRACE


def seconds(duration: str) -> int:
    """Return the seconds of a compose duration such as "75s" or "1m"."""
    return int(duration[:-1]) * {"s": 1, "m": 60}[duration[-1]]


def needs(service: str) -> set[str]:
    """Return all services for which a service waits, directly or indirectly."""
    direct = set(SERVICES[service].get("depends_on", {}))
    return direct.union(*(needs(each) for each in direct))


@pytest.mark.parametrize("name", SERVICES)
def test_service_restarts_and_job_runs_once(name: str) -> None:
    assert SERVICES[name]["restart"] == ("no" if name in JOBS else "unless-stopped")


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_long_running_service_has_a_health_check(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD", "no shell between the check and its exit code"
    assert {"interval", "timeout", "retries", "start_period"} <= check.keys()


@pytest.mark.parametrize("name", SERVICES)
def test_dependency_on_a_job_waits_for_its_success(name: str) -> None:
    for other, wait in SERVICES[name].get("depends_on", {}).items():
        assert wait["condition"] == ("service_completed_successfully" if other in JOBS else "service_healthy")


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ("postgres", "temporal-schema"),
        ("temporal-schema", "temporal"),
        ("temporal", "temporal-namespace"),
        ("temporal", "temporal-ui"),
        ("postgres", "migrate"),
        *((first, later) for first in ("migrate", "temporal-namespace") for later in ("api", "worker")),
    ],
)
def test_start_order(first: str, later: str) -> None:
    assert first in needs(later)


def test_only_the_simulator_is_optional() -> None:
    assert [name for name, service in SERVICES.items() if "profiles" in service] == ["simulator"]
    assert SERVICES["worker"]["depends_on"]["simulator"]["required"] is False


@pytest.mark.parametrize("name", SERVICES)
def test_secret_is_required_and_has_no_default(name: str) -> None:
    for key, value in SERVICES[name].get("environment", {}).items():
        if SECRET.search(key):
            match = VARIABLE.fullmatch(value)
            assert match, key
            assert match["how"] == "?", f"{key} must fail when it is missing"
            assert match["text"], f"{key} must say what is missing"
    for value in SERVICES[name].get("environment", {}).values():
        assert not re.search(r"://[^/@]*:[^/@]*@", value), "a password inside a URL"


@pytest.mark.parametrize("name", SERVICES)
def test_image_is_pinned(name: str) -> None:
    _, _, tag = resolved(SERVICES[name]["image"]).rpartition(":")
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?(-[a-z0-9]+)?", tag), tag


def test_temporal_server_and_its_tools_have_the_same_version() -> None:
    """The schema job must create the schema that this server expects."""
    names = ("temporal", "temporal-schema", "temporal-namespace")
    assert len({SERVICES[name]["image"].rpartition(":")[2] for name in names}) == 1


def test_image_has_the_version_of_the_project() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    images = {name: resolved(SERVICES[name]["image"]) for name in OURS}
    assert images.pop("simulator") == f"order-settlement-simulator:{version[1]}"
    assert set(images.values()) == {f"order-settlement:{version[1]}"}


def test_only_the_simulator_runs_the_image_with_the_simulator() -> None:
    targets = {name: SERVICES[name]["build"]["target"] for name in OURS}
    assert targets == {name: "simulator" if name == "simulator" else "production" for name in OURS}


@pytest.mark.parametrize("name", OURS)
def test_container_has_a_read_only_root_and_no_privileges(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["init"] is True, "without it SIGTERM is lost on a process 1 that has no handler yet"
    assert not service.keys() & {"user", "privileged", "cap_add", "entrypoint", "pid", "network_mode"}
    assert all(volume.endswith(":ro") for volume in service.get("volumes", []))


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_has_limits(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"cpus", "memory"} <= service["deploy"]["resources"]["limits"].keys()
    assert {"max-size", "max-file"} <= service["logging"]["options"].keys()


def test_only_api_and_ui_are_published_on_loopback() -> None:
    published = {name: [resolved(port) for port in each["ports"]] for name, each in SERVICES.items() if "ports" in each}
    assert published == {"api": ["127.0.0.1:8000:8000"], "temporal-ui": ["127.0.0.1:8080:8080"]}


def test_api_requires_keys() -> None:
    """Every container on its network can reach it, and perhaps others."""
    environment = SERVICES["api"]["environment"]
    assert not is_loopback(environment["SETTLEMENT_API_HOST"])
    assert environment.get("SETTLEMENT_AUTH", Settings.model_fields["auth"].default) == "on"
    assert [name for name in OURS if "SETTLEMENT_API_KEY_PEPPER" in SERVICES[name].get("environment", {})] == ["api"]


def test_worker_verifies_what_the_api_signs_and_accepts_nothing_else() -> None:
    """The Temporal UI of the file has no login, so an action there proves nothing about its author."""
    key = "SETTLEMENT_UPDATE_SIGNING_KEY"
    assert [name for name in OURS if key in SERVICES[name].get("environment", {})] == ["api", "worker"]
    assert resolved(SERVICES["worker"]["environment"]["SETTLEMENT_UI_ACTS"]) == "off"


def test_databases_and_temporal_are_only_on_the_internal_network() -> None:
    assert yaml.safe_load(COMPOSE.read_text())["networks"]["backend"] == {"internal": True}
    for name in {*JOBS, "postgres", "temporal"}:
        assert SERVICES[name]["networks"] == ["backend"]
    assert SERVICES["simulator"]["networks"] == ["edge"], "the external system's side sees neither ledger nor Temporal"


def test_stop_grace_period_is_longer_than_the_shutdown() -> None:
    assert seconds(SERVICES["api"]["stop_grace_period"]) > API_END_LIMIT_S > DRAIN_S
    assert seconds(SERVICES["worker"]["stop_grace_period"]) > END_LIMIT_S > GRACE.total_seconds()
    assert GRACE >= ADJUST_START_TO_CLOSE


def test_number_of_shards_is_a_constant() -> None:
    """It can never be changed, so it must not be a variable."""
    assert SERVICES["temporal"]["environment"]["NUM_HISTORY_SHARDS"] == "512"


def test_ui_hides_actions_that_skip_a_compensation() -> None:
    environment = SERVICES["temporal-ui"]["environment"]
    switches = {key: value for key, value in environment.items() if key.endswith("_DISABLED")}
    assert {key for key, value in switches.items() if value == "false"} == {
        "TEMPORAL_WORKFLOW_CANCEL_DISABLED",  # leads into the compensation
        "TEMPORAL_WORKFLOW_UPDATE_DISABLED",  # how an operator closes an ABORTED settlement
    }
    assert {key for key, value in switches.items() if value == "true"} == {
        "TEMPORAL_ACTIVITY_COMMANDS_DISABLED",
        "TEMPORAL_BATCH_ACTIONS_DISABLED",
        "TEMPORAL_START_WORKFLOW_DISABLED",
        "TEMPORAL_WORKFLOW_RESET_DISABLED",
        "TEMPORAL_WORKFLOW_SIGNAL_DISABLED",
        "TEMPORAL_WORKFLOW_TERMINATE_DISABLED",
    }


def test_external_systems_replace_the_single_address_and_only_the_worker_reads_secrets() -> None:
    changes = yaml.safe_load(SYSTEMS.read_text())["services"]
    assert changes["worker"]["environment"].pop("SETTLEMENT_EXTERNAL_BASE_URL") == "", (
        "file and address exclude each other"
    )
    path = {"SETTLEMENT_EXTERNAL_SYSTEMS": "/etc/settlement/systems/systems.toml"}
    assert changes["api"]["environment"] == changes["worker"]["environment"] == path
    volumes = {name: set(change["volumes"]) for name, change in changes.items()}
    assert volumes["worker"] - volumes["api"] == {"./deploy/secrets:/etc/settlement/secrets:ro"}
    assert all(volume.endswith(":ro") for each in volumes.values() for volume in each)


def _compose(
    *arguments: str, env: Mapping[str, str], files: Sequence[Path] = (COMPOSE,)
) -> subprocess.CompletedProcess[str]:
    """Run the compose plugin on the project's files, with only the variables in `env`."""
    command = ["docker", "compose", "--env-file", os.devnull]
    for file in files:
        command += ["--file", str(file)]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_CONFIG") if name in os.environ}
    return subprocess.run(  # noqa: S603 - our own files
        [*command, *arguments], env={**kept, **env}, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture(scope="module")
def _plugin() -> None:
    """Skip without the compose plugin: some machines have Docker's client alone, or no Docker at all.

    The laws above need neither, and `config` needs no engine; only this cross-check needs the plugin.
    """
    try:
        present = _compose("version", env={}).returncode == 0
    except FileNotFoundError:
        present = False
    if not present:
        pytest.skip("the docker compose plugin is not installed")


@pytest.mark.usefixtures("_plugin")
def test_compose_accepts_the_file_with_all_required_variables() -> None:
    required = {name: "x" for name, (how, _) in variables(COMPOSE.read_text()).items() if how == "?"}
    accepted = _compose("--profile", "*", "config", "--quiet", env=required)
    assert accepted.returncode == 0, accepted.stderr
    assert "variable is not set" not in accepted.stderr
    for missing in required:
        refused = _compose("config", "--quiet", env={name: "x" for name in required if name != missing})
        assert refused.returncode != 0
        assert missing in refused.stderr


@pytest.mark.usefixtures("_plugin")
def test_with_temporal_cloud_no_temporal_service_is_started() -> None:
    text = COMPOSE.read_text() + CLOUD.read_text()
    required = {name: "x" for name, (how, _) in variables(text).items() if how == "?"}
    listed = _compose("config", "--services", files=(COMPOSE, CLOUD), env=required)
    assert listed.returncode == 0, listed.stderr
    assert set(listed.stdout.split()) == {"api", "migrate", "postgres", "worker"}


def test_temporal_treats_companies_as_fairly_as_the_servers_of_make_up() -> None:
    configured = yaml.safe_load((ROOT / "deploy/temporal/dynamicconfig.yaml").read_text())
    of_compose = {key: json.dumps(entry["value"]) for key, (entry,) in configured.items()}
    fairness = {key: value for key, value in DYNAMIC_CONFIG.items() if key.startswith("matching.")}
    assert fairness.items() <= of_compose.items()
