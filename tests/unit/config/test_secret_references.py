"""Secrets are read from where the configuration says; an error names the place and never the value."""

from pathlib import Path

import pytest

from config.secret_references import SecretReader, SecretReference, SecretUnavailableError, read_secret

SECRET = "Xk29-correct-horse-battery-staple-71"  # noqa: S105 - a marker


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secret"


def test_secret_is_read_without_white_space_at_its_ends(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(f"{SECRET}\n")
    monkeypatch.setenv("BROKER_TOKEN", f" {SECRET}")
    assert read_secret(SecretReference(file=file)) == SECRET
    assert read_secret(SecretReference(env="BROKER_TOKEN")) == SECRET


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read (No such file or directory)"),
        (b" \n", "is empty"),
        (SECRET.encode() + b"\r\nX: y", "has characters other than printable ASCII"),
        (SECRET.encode() + b"\xff", "has characters other than printable ASCII"),
        (SECRET.encode() * 300, "has more than 8192 characters"),
    ],
)
def test_secret_that_cannot_be_used_is_named_by_its_place(file: Path, content: bytes | None, why: str) -> None:
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SecretUnavailableError) as unavailable:
        read_secret(SecretReference(file=file))
    assert str(unavailable.value) == f"file {file} {why}"
    assert SECRET not in repr(unavailable.value)


def test_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BROKER_TOKEN", raising=False)
    with pytest.raises(SecretUnavailableError, match=r"^environment variable BROKER_TOKEN is not set$"):
        read_secret(SecretReference(env="BROKER_TOKEN"))


def test_rotated_secret_is_used_at_once_and_the_last_one_while_the_file_is_missing(file: Path) -> None:
    reader, reference = SecretReader(), SecretReference(file=file)
    with pytest.raises(SecretUnavailableError):
        reader.value(reference)
    file.write_text("first")
    assert reader.value(reference) == "first"
    file.unlink()
    assert reader.value(reference) == "first"
    file.write_text("second")
    assert reader.value(reference) == "second"
    file.write_text("")
    assert reader.value(reference) == "second"


def test_key_in_pem_may_have_lines_and_a_header_may_not(file: Path) -> None:
    file.write_text("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n")
    reference = SecretReference(file=file)
    assert read_secret(reference, may_have_lines=True).count("\n") == 2
    with pytest.raises(SecretUnavailableError, match="has characters other than printable ASCII"):
        read_secret(reference)
