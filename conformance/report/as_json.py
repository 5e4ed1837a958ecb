"""The JSON report of a run. Its schema is docs/conformance/report.schema.json.

Field names are stable: a new field may come, and `formatVersion` changes if a field changes its meaning or goes.
"""

import base64
import json
from datetime import UTC, datetime
from typing import Any

from conformance.exchange import Exchange
from conformance.report.latency import LIMIT_S, Latencies
from conformance.report.messages import cut
from conformance.report.summary import counts
from conformance.requirement import Result
from conformance.verdict import RunReport

FORMAT_VERSION = 1
BYTES_MAX = 16_384
"""Bytes kept of each request and of each reply."""


def as_json(report: RunReport) -> str:
    """Return the report as JSON, in ASCII, with two blanks for each level."""
    return json.dumps(_report(report), indent=2, allow_nan=False) + "\n"


def _report(report: RunReport) -> dict[str, Any]:
    return {
        "formatVersion": FORMAT_VERSION,
        "kitVersion": _text(report.kit_version),
        "verdict": report.verdict.name,
        "sentence": _text(report.sentence),
        "counts": _counts(report),
        "baseUrl": _text(report.base_url),
        "startedAt": _time(report.started_at),
        "elapsedS": _seconds(report.elapsed_s),
        "seed": report.seed,
        "settings": {_text(name): _text(value) for name, value in report.settings.items()},
        "latency": _latency(report.latencies_s),
        "results": [_result(each) for each in report.results],
    }


def _counts(report: RunReport) -> dict[str, int]:
    found = counts(report)
    return {"passed": found.passed, "failed": found.failed, "notChecked": found.not_checked}


def _latency(points: tuple[tuple[float, float], ...]) -> dict[str, Any]:
    latencies = Latencies.of(points)
    return {
        "limitS": LIMIT_S,
        "replies": len(points),
        "overLimit": latencies.over_limit if latencies else 0,
        "p50S": _seconds(latencies.p50_s) if latencies else None,
        "p95S": _seconds(latencies.p95_s) if latencies else None,
        "p99S": _seconds(latencies.p99_s) if latencies else None,
        "maxS": _seconds(latencies.max_s) if latencies else None,
        "points": [{"atS": _seconds(at), "elapsedS": _seconds(elapsed)} for at, elapsed in points],
    }


def _result(result: Result) -> dict[str, Any]:
    requirement = result.requirement
    return {
        "id": requirement.id,
        "title": requirement.title,
        "rule": requirement.rule,
        "why": requirement.why,
        "source": requirement.source,
        "check": requirement.check,
        "needs": list(requirement.needs),
        "outcome": result.outcome.name,
        "reason": _text(result.reason),
        "elapsedS": _seconds(result.elapsed_s),
        "exchanges": [_exchange(each) for each in result.exchanges],
    }


def _exchange(exchange: Exchange) -> dict[str, Any]:
    return {
        "label": _text(exchange.label),
        "startedAt": _time(exchange.started_at),
        "elapsedS": _seconds(exchange.elapsed_s),
        "status": exchange.status,
        "failure": None if exchange.failure is None else _text(exchange.failure),
        "sent": _bytes(exchange.sent),
        "received": _bytes(exchange.received),
        "curl": _text(exchange.curl),
    }


def _bytes(data: bytes) -> dict[str, Any]:
    kept = cut(data, BYTES_MAX)
    try:
        content, encoding = kept.data.decode(), "utf-8"
    except UnicodeDecodeError:
        content, encoding = base64.b64encode(kept.data).decode(), "base64"
    return {"encoding": encoding, "content": content, "size": len(data), "omitted": kept.omitted}


def _text(text: str) -> str:
    """Return a text that every reader of JSON accepts: a lone surrogate becomes the six characters of its escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds(value: float) -> float:
    return round(value, 6)
