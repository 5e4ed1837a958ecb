"""The rules of the Kubernetes manifests for production, and that the check in `make check` finds faults in them."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from api.__main__ import END_LIMIT_S as API_END_LIMIT_S
from config.external_systems import read_systems
from config.settings import ENV_PREFIX, Settings
from tests.support.manifests import (
    KUBERNETES,
    OVERLAYS,
    Manifest,
    errors,
    main,
    pod_templates,
    reference_errors,
    rendered,
    schema_errors,
    selects,
    title,
)
from tests.unit.deploy.compose_file import OURS, ROOT, SECRET, SERVICES
from worker import END_LIMIT_S as WORKER_END_LIMIT_S
from workflows.runtime import SETTLEMENT_TASK_QUEUE

PROCESSES = {"settlement-api": "api", "settlement-worker": "worker", "settlement-migrate": "ledger.migrate"}
"""The argument of the image, by the name of the Deployment or Job."""
BUILT = {name: rendered(KUBERNETES / "overlays" / name) for name in OVERLAYS}
PODS = [
    pytest.param(overlay, name, template["spec"], id=f"{overlay}, {name}")
    for overlay, manifests in BUILT.items()
    for name, template in pod_templates(manifests).items()
]


def one(kind: str, name: str, overlay: str = "production") -> Manifest:
    """Return the manifest of this kind and name; names of ConfigMaps end with a hash."""
    pattern = re.compile(rf"{name}(-[a-z0-9]{{10}})?")
    (found,) = [each for each in BUILT[overlay] if each["kind"] == kind and pattern.fullmatch(each["metadata"]["name"])]
    return found


def container(name: str, overlay: str = "production") -> dict[str, Any]:
    """Return the only container of a Deployment or Job."""
    kind = "Job" if name == "settlement-migrate" else "Deployment"
    (only,) = one(kind, name, overlay)["spec"]["template"]["spec"]["containers"]
    return dict(only)


def environment(name: str, overlay: str = "production") -> dict[str, str | None]:
    """Return the variables of a process; those from a Secret have no value here."""
    described = container(name, overlay)
    found: dict[str, str | None] = {}
    for source in described["envFrom"]:
        found |= one("ConfigMap", re.sub(r"-[a-z0-9]{10}$", "", source["configMapRef"]["name"]), overlay)["data"]
    return found | {each["name"]: each.get("value") for each in described["env"]}


def test_manifests_have_no_faults() -> None:
    assert list(errors()) == []


BROKEN = [
    ("base/worker.yaml", "args: [worker]", "argz: [worker]", "Additional properties are not allowed .'argz'"),
    ("base/autoscaling.yaml", "minReplicas: 2", 'minReplicas: "two"', "'two' is not of type 'integer'"),
    (
        "base/worker.yaml",
        "  selector: { matchLabels: { app.kubernetes.io/name: settlement-worker } }\n  # The",
        "  # The",
        "spec: 'selector' is a required property",
    ),
    (
        "base/disruption.yaml",
        "policy/v1",
        "policy/v9",
        "schema for kind PodDisruptionBudget with api version policy/v9",
    ),
    ("base/network.yaml", "matchLabels: { app.kubernetes.io/name: settlement-api }", "matchLabels: { a: b }", "no pod"),
    ("base/autoscaling.yaml", "name: settlement-api }\n  minReplicas", "name: x }\n  minReplicas", "no Deployment x"),
    (
        "base/worker.yaml",
        "{ name: settlement-common }",
        "{ name: settlement-commmon }",
        "no ConfigMap settlement-commm",
    ),
    ("base/worker.yaml", "matchLabels: { app.kubernetes.io/name", "matchLabels: { app.kubernetes.io/part-of", "no pod"),
    (
        "base/worker.yaml",
        "selector: { matchLabels: { app.kubernetes.io/name: settlement-worker } }",
        "selector: { matchLabels: { app.kubernetes.io/part-of: order-settlement } }",
        "Deployment settlement-worker: its selector must select its own pods and no others",
    ),
    ("base/kustomization.yaml", "resources:", "resourcez:", 'unknown field "resourcez"'),
    ("overlays/temporal-cloud/api-key.yaml", "volumes/2/name", "volumes/1/name", "test"),
]


@pytest.mark.parametrize(("file", "old", "new", "fault"), BROKEN, ids=[f"{each[0]}: {each[2]}" for each in BROKEN])
def test_check_finds_a_broken_manifest(file: str, old: str, new: str, fault: str, tmp_path: Path) -> None:
    folder = shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    found = list(errors(folder))
    assert any(re.search(fault, each) for each in found), found


def test_check_of_ci_fails_for_a_broken_manifest(tmp_path: Path) -> None:
    folder = shutil.copytree(KUBERNETES, tmp_path / "kubernetes")
    (folder / "base/disruption.yaml").write_text("apiVersion: policy/v1\nkind: PodDisruptionBudget\nspec: []\n")
    assert main(str(folder)) == 1
    script = (ROOT / ".ci/check").read_text()
    assert re.search(r"^manifests\(\) \{\n.*\n  \$bin/python -m tests.support.manifests$", script, re.MULTILINE)
    assert re.search(r"^for check in \$\{@:-.*\bmanifests\b", script, re.MULTILINE)


def test_schema_and_references_of_a_made_up_manifest() -> None:
    """The detectors themselves: a kind without a schema and an operator that they do not know are never passed over."""
    assert list(schema_errors({"apiVersion": "v1", "kind": "Unheard"}))
    assert list(reference_errors([{"kind": "Service", "metadata": {"name": "s"}, "spec": {"selector": {"a": "b"}}}]))
    with pytest.raises(NotImplementedError):
        selects({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"a": "b"})


@pytest.mark.parametrize(("overlay", "name", "pod"), PODS)
def test_pod_has_only_the_rights_of_the_restricted_standard(overlay: str, name: str, pod: dict[str, Any]) -> None:
    del overlay, name
    user = re.search(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": int(user[1]),
        "runAsGroup": int(user[2]),
        "fsGroup": int(user[2]),
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    (only,) = pod["containers"]
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "privileged": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC", "initContainers"}
    assert all(volume.keys() <= {"name", "secret", "configMap", "emptyDir"} for volume in pod["volumes"])
    assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_namespace_enforces_the_restricted_standard_and_holds_everything(overlay: str) -> None:
    labels = one("Namespace", "settlement", overlay)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    outside = [title(each) for each in BUILT[overlay] if each["metadata"].get("namespace") != "settlement"]
    assert outside == ["Namespace settlement"]


@pytest.mark.parametrize(("overlay", "name", "pod"), PODS)
def test_pod_has_requests_limits_and_room_to_write(overlay: str, name: str, pod: dict[str, Any]) -> None:
    """CPU has no limit: a throttled worker would send late."""
    del overlay, name
    (only,) = pod["containers"]
    assert {"cpu", "memory"} <= only["resources"]["requests"].keys()
    assert "memory" in only["resources"]["limits"]
    assert "cpu" not in only["resources"]["limits"]
    writable = [mount["mountPath"] for mount in only["volumeMounts"] if not mount.get("readOnly")]
    assert writable == ["/tmp"]  # noqa: S108 - a path in the pod
    assert [volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume] == [{"sizeLimit": "16Mi"}]


def test_each_process_has_its_argument_and_the_image_of_the_project() -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version
    for name, argument in PROCESSES.items():
        assert container(name)["args"] == [argument]
        assert container(name)["image"] == f"registry.example/order-settlement:{version[1]}"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_setting_exists_and_has_a_valid_value(overlay: str) -> None:
    known = {f"{ENV_PREFIX}{field}".upper() for field in Settings.model_fields}
    for name in PROCESSES:
        found = environment(name, overlay)
        ours = {key for key in found if key.startswith(ENV_PREFIX)}
        assert ours <= known
        values = {key.removeprefix(ENV_PREFIX).lower(): found[key] for key in ours if found[key]}
        Settings.model_validate(values)


def test_ports_are_those_of_the_settings() -> None:
    api, worker = environment("settlement-api"), environment("settlement-worker")
    ports = {name: container(name)["ports"] for name in ("settlement-api", "settlement-worker")}
    assert api["SETTLEMENT_API_PORT"] == str(ports["settlement-api"][0]["containerPort"])
    assert worker["SETTLEMENT_WORKER_METRICS_PORT"] == str(ports["settlement-worker"][0]["containerPort"])
    (service,) = one("Service", "settlement-api")["spec"]["ports"]
    assert str(service["port"]) == api["SETTLEMENT_API_PORT"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_secrets_are_references_and_no_manifest_holds_one(overlay: str) -> None:
    assert "Secret" not in {each["kind"] for each in BUILT[overlay]}
    for name in PROCESSES:
        found = environment(name, overlay)
        secret = {key for key in found if SECRET.search(key) or key.endswith("PEPPER")}
        assert "PGPASSWORD" in secret
        assert {found[key] for key in secret} == {None}, "a value in a manifest"
        assert not any(re.search(r"://[^/@]*:[^/@]*@", value or "") for value in found.values())


def test_each_process_has_only_the_secrets_of_compose() -> None:
    """`migrate` needs no key, and only the worker reads the secrets of brokers."""
    for name, service in zip(PROCESSES, ("api", "worker", "migrate"), strict=True):
        of_compose = {key for key in SERVICES[service]["environment"] if SECRET.search(key) or "PEPPER" in key}
        assert {each["name"] for each in container(name)["env"]} == of_compose
    mounted = {name: {each["name"] for each in container(name)["volumeMounts"]} for name in PROCESSES}
    assert [name for name in PROCESSES if "broker-secrets" in mounted[name]] == ["settlement-worker"]
    assert "temporal-tls" not in mounted["settlement-migrate"]


def test_settings_agree_with_the_compose_file() -> None:
    """What has the same value on every installation is the same in both."""
    for name in OURS:
        process = f"settlement-{name}"
        if process not in PROCESSES:
            continue
        compose, found = SERVICES[name].get("environment", {}), environment(process)
        fixed = {key: value for key, value in compose.items() if key.startswith(ENV_PREFIX) and "$" not in str(value)}
        for key in fixed.keys() & found.keys() - {"SETTLEMENT_DATABASE_URL"}:
            assert found[key] == fixed[key], key


def test_connections_are_encrypted_and_verified() -> None:
    for name in PROCESSES:
        url = environment(name)["SETTLEMENT_DATABASE_URL"]
        assert url is not None
        assert "sslmode=verify-full" in url
        assert "sslrootcert=/etc/settlement/ledger-tls/ca.crt" in url
    for name in ("settlement-api", "settlement-worker"):
        assert environment(name)["TEMPORAL_TLS"] == environment(name, "temporal-cloud")["TEMPORAL_TLS"] == "true"
        paths = {key for key in environment(name) if key.startswith("TEMPORAL_TLS_") and key.endswith("_PATH")}
        assert len(paths) == 3, "client certificate, its key, and the authority of the server"
        mounts = [each["mountPath"] for each in container(name)["volumeMounts"]]
        assert all(str(environment(name)[path]).rpartition("/")[0] in mounts for path in paths)
        assert "TEMPORAL_API_KEY" in environment(name, "temporal-cloud")
        assert not {key for key in environment(name, "temporal-cloud") if key.startswith("TEMPORAL_TLS_")}


def test_grace_is_longer_than_the_shutdown() -> None:
    api = one("Deployment", "settlement-api")["spec"]["template"]["spec"]
    pause = api["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert api["terminationGracePeriodSeconds"] > API_END_LIMIT_S + pause
    worker = one("Deployment", "settlement-worker")["spec"]["template"]["spec"]
    assert worker["terminationGracePeriodSeconds"] > WORKER_END_LIMIT_S
    for each in pod_templates(BUILT["production"]).values():
        assert each["spec"]["shareProcessNamespace"], "as process 1 Python would ignore SIGTERM at its start"


def test_no_probe_restarts_a_process_for_an_outage_of_temporal_or_the_ledger() -> None:
    api, worker = container("settlement-api"), container("settlement-worker")
    assert api["startupProbe"]["httpGet"]["path"] == "/readyz"
    assert api["livenessProbe"]["httpGet"]["path"] == api["readinessProbe"]["httpGet"]["path"] == "/healthz"
    assert "livenessProbe" not in worker
    for probe in ("startupProbe", "readinessProbe"):
        script = worker[probe]["exec"]["command"][-1]
        assert script.rpartition("/")[2] in (ROOT / "Dockerfile").read_text()


def test_workers_follow_the_slots_in_use() -> None:
    spec = one("HorizontalPodAutoscaler", "settlement-worker")["spec"]
    (pods,) = [each["pods"] for each in spec["metrics"] if each["type"] == "Pods"]
    labels = pods["metric"]["selector"]["matchLabels"]
    assert labels == {"worker_type": "ActivityWorker", "task_queue": SETTLEMENT_TASK_QUEUE}
    slots = int(str(environment("settlement-worker")["SETTLEMENT_WORKER_SLOTS"]))
    assert int(pods["target"]["averageValue"]) == slots * 6 // 10
    name = pods["metric"]["name"]
    assert f"`{name}`" in (ROOT / "docs/metrics.md").read_text()
    assert name in (KUBERNETES / "prometheus-adapter.yaml").read_text()


@pytest.mark.parametrize("name", ["settlement-api", "settlement-worker"])
def test_two_pods_of_each_kind_of_which_one_may_be_evicted(name: str) -> None:
    assert one("HorizontalPodAutoscaler", name)["spec"]["minReplicas"] >= 2
    assert "replicas" not in one("Deployment", name)["spec"], "an apply would set back what the autoscaler has set"
    budget = one("PodDisruptionBudget", name)["spec"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    assert one("Deployment", name)["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_nothing_is_reachable_that_no_policy_names() -> None:
    policies = {
        each["metadata"]["name"]: each["spec"] for each in BUILT["production"] if each["kind"] == "NetworkPolicy"
    }
    deny = policies["settlement-default-deny"]
    assert deny["policyTypes"] == ["Ingress", "Egress"]
    assert not deny.keys() & {"ingress", "egress"}
    templates = pod_templates(BUILT["production"])
    assert all(selects(deny["podSelector"], each["metadata"]["labels"]) for each in templates.values())
    outside = {
        title_
        for title_, template in templates.items()
        for policy in policies.values()
        if selects(policy["podSelector"], template["metadata"]["labels"])
        and any("ipBlock" in peer for rule in policy.get("egress", []) for peer in rule["to"])
    }
    assert outside == {"Deployment settlement-worker"}


def test_file_of_external_systems_is_valid() -> None:
    assert set(read_systems(KUBERNETES / "overlays/production/systems.toml").entries) == {"broker"}
