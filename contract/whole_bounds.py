"""Bounds of integers in an OpenAPI document: FastAPI turns them into floats, which hold no 64-bit integer exactly."""

from contract.fields import INT64_MAX, INT64_MIN


def make_bounds_whole(node: object) -> None:
    """Turn the bounds of integers under a node of a document back into integers, none beyond int64."""
    if isinstance(node, dict):
        for bound in ("minimum", "maximum"):
            if node.get("type") == "integer" and isinstance(node.get(bound), float):
                node[bound] = max(INT64_MIN, min(INT64_MAX, int(node[bound])))
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            make_bounds_whole(each)
