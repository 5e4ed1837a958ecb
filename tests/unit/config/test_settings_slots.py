"""The slots of one company in a worker: half beside other companies, all alone, or as configured."""

import pytest

from config.settings import load_settings

WORKER, COMPANY = "SETTLEMENT_WORKER_SLOTS", "SETTLEMENT_COMPANY_SLOTS"


@pytest.mark.parametrize(("worker", "half"), [(None, 250), ("8", 4), ("9", 5), ("2", 1), ("1", 1)])
def test_default_is_half_beside_others_and_all_alone(
    monkeypatch: pytest.MonkeyPatch, worker: str | None, half: int
) -> None:
    if worker is not None:
        monkeypatch.setenv(WORKER, worker)
    settings = load_settings()
    assert settings.slots_of_one_company == half
    assert settings.slots_of_only_company == settings.worker_slots


@pytest.mark.parametrize("company", ["1", "7", "8"])
def test_any_number_up_to_all_slots_can_be_set(monkeypatch: pytest.MonkeyPatch, company: str) -> None:
    monkeypatch.setenv(WORKER, "8")
    monkeypatch.setenv(COMPANY, company)
    settings = load_settings()
    assert settings.slots_of_one_company == settings.slots_of_only_company == int(company)


@pytest.mark.parametrize(
    ("worker", "company", "line"),
    [
        ("8", "9", f"{COMPANY}: Value error, must not exceed {WORKER}"),
        ("8", "0", f"{COMPANY}: Input should be greater than or equal to 1"),
        ("0", "9", f"{WORKER}: Input should be greater than or equal to 1"),
    ],
)
def test_invalid_number_is_refused_by_name_and_rule(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], worker: str, company: str, line: str
) -> None:
    monkeypatch.setenv(WORKER, worker)
    monkeypatch.setenv(COMPANY, company)
    with pytest.raises(SystemExit) as stopped:
        load_settings()
    assert stopped.value.code == 2
    assert capsys.readouterr() == ("", f"{line}\n")
