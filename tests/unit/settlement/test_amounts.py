"""Amounts per currency are read exactly, and compared as decimals."""

import pytest

from settlement.amounts import amount_for, is_above, parse_amounts


def test_amounts_are_read_by_currency() -> None:
    amounts = parse_amounts("USD=1000, EUR=900.50 ,*=0")
    assert amounts == {"USD": "1000", "EUR": "900.50", "*": "0"}
    assert [amount_for(amounts, each) for each in ("EUR", "GBP")] == ["900.50", "0"]
    assert amount_for({"USD": "1"}, "GBP") is None


@pytest.mark.parametrize(
    "text", ["", "USD", "USD=", "=1", "usd=1", "USD=1,USD=2", "USD=1,", "USDT=1", "USD=1e3", "USD=-1", "USD=1=2"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_amounts(text)


@pytest.mark.parametrize(
    ("amount", "limit", "above"),
    [
        ("12.50", "12.5", False),
        ("12.51", "12.5", True),
        ("-12.51", "12.5", True),
        ("9" * 38 + ".1", "9" * 38, True),
        ("0.1000000000000000000000000000000000001", "0.1", True),
        ("1", None, False),
    ],
)
def test_comparison_is_exact(amount: str, limit: str | None, *, above: bool) -> None:
    assert is_above(amount, limit) is above
