"""`SETTLEMENT_EXTERNAL_CANCEL_PROTOCOL` selects the operation that undoes an adjust, by its documented spelling."""

import pytest

from config.secret_references import SecretReader
from config.settings import Settings, load_settings
from config.watched_systems import system_of_settings
from connector import ExternalSystem
from contract.operations import CancelOperation, Operation
from stack.parts import Stack
from worker_systems import connector_config

VARIABLE = "SETTLEMENT_EXTERNAL_CANCEL_PROTOCOL"
SPELLINGS: list[tuple[str, CancelOperation]] = [
    ("cancel-adjust", Operation.CANCEL_ADJUST),
    ("cancel-operation", Operation.CANCEL_OPERATION),
]


def test_cancel_adjust_is_the_default() -> None:
    assert Settings().external_cancel_protocol is Operation.CANCEL_ADJUST


@pytest.mark.parametrize(("spelling", "operation"), SPELLINGS)
def test_setting_selects_the_operation(
    monkeypatch: pytest.MonkeyPatch, spelling: str, operation: CancelOperation
) -> None:
    monkeypatch.setenv(VARIABLE, spelling)
    entry = system_of_settings(load_settings()).entries["default"]
    assert ExternalSystem(connector_config(entry, SecretReader(), 10)).cancel_operation is operation


@pytest.mark.parametrize(("spelling", "operation"), SPELLINGS)
def test_stack_passes_the_setting_to_its_worker(
    monkeypatch: pytest.MonkeyPatch, spelling: str, operation: CancelOperation
) -> None:
    monkeypatch.setenv(VARIABLE, spelling)
    worker_env = Stack(load_settings()).worker.env
    monkeypatch.setenv(VARIABLE, worker_env[VARIABLE])
    assert worker_env[VARIABLE] == spelling
    assert load_settings().external_cancel_protocol is operation


@pytest.mark.parametrize("value", ["adjust", "ADJUST", "CANCEL_ADJUST", "Cancel-Adjust", "0"])
def test_any_other_value_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(SystemExit):
        load_settings()
    assert capsys.readouterr().err == f"{VARIABLE}: Input should be 'cancel-adjust' or 'cancel-operation'\n"
