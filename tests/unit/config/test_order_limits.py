"""The file of order limits is validated as a whole; an error names file, entry and field."""

from pathlib import Path

import pytest

from config.configuration_file import InvalidFileError
from config.order_limits import load_order_limits, parse_order_limits
from config.settings import Settings
from settlement.order_limits import OrderLimit, OrderLimits

FILE = Path("limits.toml")
LARGEST = '[limits.largest]\ncurrency = "USD"\nper_order = "1000"\n'


def test_every_field_is_read() -> None:
    content = b'[limits.all]\nclient = "a"\ncompany = 7\ncurrency = "EUR"\nper_order = "1"\nper_hour = "2.50"\n'
    assert parse_order_limits(FILE, content) == OrderLimits((OrderLimit("all", "a", 7, "EUR", "1", "2.50"),))


def test_without_a_file_there_is_no_limit() -> None:
    assert load_order_limits(Settings()).active == OrderLimits()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "limits: Field required"),
        ('[limits.a]\ncurrency = "USD"', "limits.a: needs per_order, per_hour or both"),
        ("[limits.a]\nper_order = 1000", "limits.a.per_order: Input should be a valid string"),
        ("[limits.a]\nper_order = 0.1", "limits.a.per_order: Input should be a valid string"),
        *(
            (f'[limits.a]\nper_hour = "{amount}"', "limits.a.per_hour: an amount must be a plain decimal")
            for amount in ("", "1e3", "-1", "+1", " 1", "1.", ".5", "1_0", "NaN", "\u0661")
        ),
        ('[limits.a]\nper_order = "1"\ncurrency = "usd"', "limits.a.currency: must be an ISO 4217"),
        ('[limits.a]\nper_order = "1"\ncompany = "7"', "limits.a.company: Input should be a valid integer"),
        ('[limits.a]\nper_order = "1"\nper_day = "9"', "limits.a.per_day: Extra inputs are not permitted"),
        ('[limits."A b"]\nper_order = "1"', "limits.'A b': a name must be"),
    ],
)
def test_invalid_entry_is_named(content: str, problem: str) -> None:
    with pytest.raises(InvalidFileError) as invalid:
        parse_order_limits(FILE, content.encode())
    assert str(invalid.value).startswith(f"limits.toml: {problem}")


def test_process_does_not_start_with_an_invalid_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "limits.toml"
    file.write_text(LARGEST.replace('"1000"', "1000"))
    with pytest.raises(SystemExit) as ended:
        load_order_limits(Settings(order_limits=file))
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"SETTLEMENT_ORDER_LIMITS: {file}: limits.largest.per_order: ")
