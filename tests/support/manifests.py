"""The Kubernetes manifests as a cluster gets them, and what is wrong with them: `python -m tests.support.manifests`.

`kubectl kustomize` builds each overlay. Neither it nor the schemas, which a package brings, need a cluster or a
network.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from kubernetes_validate.utils import SchemaNotFoundError, ValidationError, validate

from tests.support.binaries import beside_python

KUBERNETES = Path(__file__).parents[2] / "deploy/kubernetes"
OVERLAYS = ("production", "temporal-cloud")
VERSIONS = ("1.34", "1.37")
"""The oldest and the newest version of Kubernetes that the manifests are checked against."""

Manifest = dict[str, Any]
_NAMED = {"configMapRef": "ConfigMap", "configMap": "ConfigMap", "configMapKeyRef": "ConfigMap"}
"""Fields that refer to an object of the same overlay. Secrets are made by the administrator, so they are not here."""


class ManifestError(Exception):
    """An overlay cannot be built; the message is that of kubectl."""


def rendered(overlay: Path) -> list[Manifest]:
    """Return the manifests of an overlay. Raises ManifestError if kubectl refuses it."""
    done = subprocess.run(  # noqa: S603 - our own files
        [beside_python("kubectl"), "kustomize", str(overlay)], capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode != 0:
        raise ManifestError(done.stderr.strip())
    return [each for each in yaml.safe_load_all(done.stdout) if each]


def title(manifest: Manifest) -> str:
    """Return kind and name."""
    return f"{manifest.get('kind')} {manifest.get('metadata', {}).get('name')}"


def schema_errors(manifest: Manifest) -> tuple[str, ...]:
    """Return where a manifest does not follow the schema of its kind; a field that the schema does not have counts."""
    return _schema_errors(json.dumps(manifest))


@cache  # overlays have most manifests in common, and each validation reads a megabyte of definitions
def _schema_errors(manifest: str) -> tuple[str, ...]:
    found = []
    for version in VERSIONS:
        try:
            validate(json.loads(manifest), version, strict=True)
        except ValidationError as error:
            place = ".".join(str(part) for part in error.path) or "whole"
            found.append(f"{version}: {place}: {error.message[:300]}")
        except SchemaNotFoundError as error:
            found.append(f"{version}: {error.message}")
    return tuple(found)


def pod_templates(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Return the pod template of each Deployment and Job, by kind and name."""
    return {title(each): each["spec"]["template"] for each in manifests if each["kind"] in {"Deployment", "Job"}}


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether a label selector selects labels. `In` is the only operator that the manifests use."""
    expressions = selector.get("matchExpressions", [])
    if any(each["operator"] != "In" for each in expressions):
        message = "an operator other than In"
        raise NotImplementedError(message)
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        labels.get(each["key"]) in each["values"] for each in expressions
    )


def reference_errors(manifests: list[Manifest]) -> Iterator[str]:
    """Yield each reference to an object that is not there, and each selector that selects no pod.

    The schemas cannot see them, and a cluster accepts them without a word.
    """
    there = {(each["kind"], each["metadata"]["name"]) for each in manifests}
    labels = [template["metadata"]["labels"] for template in pod_templates(manifests).values()]
    for manifest in manifests:
        spec = manifest.get("spec", {})
        for kind, name in _references(spec):
            if (kind, name) not in there:
                yield f"{title(manifest)}: there is no {kind} {name}"
        selector = spec.get("podSelector", spec.get("selector"))
        if selector is None:
            continue
        wanted = {"matchLabels": selector} if manifest["kind"] == "Service" else selector
        selected = [each for each in labels if selects(wanted, each)]
        if not selected:
            yield f"{title(manifest)}: its selector selects no pod"
        if "template" in spec and selected != [spec["template"]["metadata"]["labels"]]:
            yield f"{title(manifest)}: its selector must select its own pods and no others"


def _references(value: object) -> Iterator[tuple[str, str]]:
    """Yield kind and name of each object that a part of a manifest refers to."""
    if isinstance(value, list):
        for each in value:
            yield from _references(each)
    if not isinstance(value, dict):
        return
    for key, inner in value.items():
        if key in _NAMED and not inner.get("optional"):
            yield _NAMED[key], inner["name"]
        elif key == "serviceAccountName":
            yield "ServiceAccount", inner
        elif key == "scaleTargetRef":
            yield inner["kind"], inner["name"]
        elif key == "service":
            yield "Service", inner["name"]
        else:
            yield from _references(inner)


def errors(folder: Path = KUBERNETES) -> Iterator[str]:
    """Yield what is wrong with the overlays in a folder, one line for each fault."""
    for name in OVERLAYS:
        try:
            manifests = rendered(folder / "overlays" / name)
        except ManifestError as error:
            yield f"{name}: {error}"
            continue
        faults = [f"{title(each)}: {fault}" for each in manifests for fault in schema_errors(each)]
        # With a wrong schema the fields that references are in may be missing.
        yield from (f"{name}: {fault}" for fault in faults or reference_errors(manifests))


def main(*arguments: str) -> int:
    """Print what is wrong with the overlays; return 1 if anything is, otherwise 0."""
    found = list(errors(*(Path(each) for each in arguments)))
    for each in found:
        print(each, file=sys.stderr)  # noqa: T201 - the result of the check
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
