"""Keys of payloads for tests, and the file that names them."""

import hashlib
from pathlib import Path

from encryption.keys import KEY_BYTES, Key, PayloadKeyRing


def secret_of(key_id: str) -> bytes:
    """Return the key of an id, always the same."""
    return hashlib.sha256(f"payload key of the tests, {key_id}".encode()).digest()[:KEY_BYTES]


def ring(*key_ids: str, active: str | None = None) -> PayloadKeyRing:
    """Return a ring of these keys. The first one is active unless `active` is given."""
    return PayloadKeyRing([Key(each, secret_of(each)) for each in key_ids], active or key_ids[0])


def write_keys(folder: Path, *key_ids: str, active: str | None) -> Path:
    """Write, or replace atomically, the file `payload-keys.toml` and one file for each key; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f'active = "{active}"'] if active else []
    lines.append("[keys]")
    for each in key_ids:
        (folder / f"{each}.key").write_text(f"{secret_of(each).hex()}\n")
        lines.append(f'{each} = {{ file = "{(folder / each).absolute()}.key" }}')
    path, unfinished = folder / "payload-keys.toml", folder / "payload-keys.new"
    unfinished.write_text("\n".join(lines) + "\n")
    unfinished.replace(path)
    return path
