"""A broker's CSV file: columns, times, encodings, and errors that name line, column and rule."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.commands.broker_statement_columns import load_columns
from cli.commands.broker_statement_file import LINE_BYTES_MAX, PROBLEMS_MAX, StatementFile, read_lines
from cli.exits import UsageError
from settlement.broker_statement import StatementLine
from settlement.statement_columns import StatementColumns

STARTS_AT, ENDS_AT = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC)
HEADER = "requestUniqueNo,kind,amount,currency,time\n"
GOOD = "ORD-1,applied,12.50,USD,2026-01-05T12:00:00.123Z\n"
NOON_MS = 1_767_614_400_123


def read(path: Path, content: str | bytes, columns: str = "") -> list[StatementLine]:
    """Write a file and its columns, and read it."""
    file, mapping = path / "statement.csv", path / "columns.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    mapping.write_text(columns)
    return list(read_lines(StatementFile(file, load_columns(mapping), STARTS_AT, ENDS_AT), lambda _: None))


def short(lines: list[StatementLine]) -> list[tuple[str, str, str, str, int]]:
    return [(each.request_unique_no, each.kind.value, each.amount, each.currency, each.at_ms) for each in lines]


def test_the_default_columns_are_those_of_the_simulator(tmp_path: Path) -> None:
    """The amount of a reversal has the opposite sign, because it is the change of the balance."""
    reversal = '"a ""b"", c",reversed,-12.50,USD,2026-01-05 20:00:00.123+08:00\n'
    lines = read(tmp_path, HEADER + GOOD + "\n" + reversal)
    assert short(lines) == [
        ("ORD-1", "APPLIED", "12.50", "USD", NOON_MS),
        ('a "b", c', "REVERSED", "12.50", "USD", NOON_MS),
    ]


def test_a_deduction_is_reversed_by_a_positive_amount(tmp_path: Path) -> None:
    (line,) = read(tmp_path, HEADER + GOOD.replace("applied,12.50", "reversed,3"))
    assert line.amount == "-3"


def test_columns_of_another_broker(tmp_path: Path) -> None:
    columns = """
        delimiter = ";"
        encoding = "gb18030"
        number = "流水号"
        kind = "类型"
        applied_values = ["入金", "出金"]
        reversed_values = ["冲正"]
        ignored_values = ["手续费"]
        amount = "金额"
        reversed_amount = "same"
        currency = "币种"
        time = "时间"
        utc_offset = "+08:00"
    """
    content = "备注;流水号;类型;金额;币种;时间\nx;A;入金;1;USD;2026-01-05T20:00:00.123\n"
    content += "x;A;冲正;1;USD;2026-01-05T20:00:00.123\nx;;手续费;;;\n"
    lines = read(tmp_path, content.encode("gb18030"), columns)
    assert short(lines) == [("A", "APPLIED", "1", "USD", NOON_MS), ("A", "REVERSED", "1", "USD", NOON_MS)]


TWO_TIMES = """
    applied_time = "applied"
    reversed_time = "reversed"
    time_format = "epoch_ms"
"""


def test_one_line_can_have_the_times_of_both_events(tmp_path: Path) -> None:
    """One of both times may be outside of the period."""
    content = (
        f"requestUniqueNo,amount,currency,applied,reversed\nA,1,USD,{NOON_MS},\nB,-2,USD,1700000000000,{NOON_MS}\n"
    )
    lines = read(tmp_path, content, TWO_TIMES)
    assert [line[:3] for line in short(lines)] == [
        ("A", "APPLIED", "1"),
        ("B", "APPLIED", "-2"),
        ("B", "REVERSED", "-2"),
    ]


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    assert len(read(tmp_path, b"\xef\xbb\xbf" + (HEADER + GOOD).encode())) == 1


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (",applied,1,USD,2026-01-05T12:00:00Z", 'line 3, column "requestUniqueNo": String should have at least 1'),
        (f"{'N' * 49},applied,1,USD,2026-01-05T12:00:00Z", 'line 3, column "requestUniqueNo": String should have at'),
        ("A,booked,1,USD,2026-01-05T12:00:00Z", 'line 3, column "kind": must be one of applied, reversed'),
        ("A,applied,1e3,USD,2026-01-05T12:00:00Z", 'line 3, column "amount": must be a plain decimal'),
        ("A,reversed,--1,USD,2026-01-05T12:00:00Z", 'line 3, column "amount": must be a plain decimal'),
        ('A,applied,"1,000",USD,2026-01-05T12:00:00Z', 'line 3, column "amount": must be a plain decimal'),
        ("A,applied,1,usd,2026-01-05T12:00:00Z", 'line 3, column "currency": must be an ISO 4217'),
        ("A,applied,1,USD,yesterday", 'line 3, column "time": must be a time in ISO 8601'),
        ("A,applied,1,USD,2026-01-05T12:00:00", 'line 3, column "time": must have an offset'),
        ("A,applied,1,USD,2026-01-06T00:00:00Z", 'line 3, column "time": must be in the period'),
        ("A,applied,1,USD,2026-01-04T23:59:59.999Z", 'line 3, column "time": must be in the period'),
        ("A,applied,1,USD", "line 3: has 4 columns, but the header has 5"),
        ('A,applied,"1,USD,2026-01-05T12:00:00Z', "line 3: is not CSV: "),
        ("A" * (LINE_BYTES_MAX + 1), f"line 3: is longer than {LINE_BYTES_MAX} bytes"),
        ("A\x1b[2J,applied,1,USD,2026-01-05T12:00:00Z", 'line 3, column "requestUniqueNo": must not contain control'),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, error: str) -> None:
    with pytest.raises(UsageError) as raised:
        read(tmp_path, HEADER + GOOD + line + "\n")
    assert "nothing was imported" in str(raised.value)
    assert f"\n  {error}" in str(raised.value)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", 'line 1, column "requestUniqueNo": must be in the header once'),
        (b"a,a\n", 'line 1, column "requestUniqueNo": must be in the header once; the header is a, a'),
        ((HEADER + GOOD).encode() + b"\xff,", "line 3: is not text in the encoding utf-8"),
        ((HEADER.strip() + ",time\n").encode(), 'line 1, column "time": must be in the header once'),
    ],
)
def test_a_file_that_is_not_as_described_is_named(tmp_path: Path, content: bytes, error: str) -> None:
    with pytest.raises(UsageError) as raised:
        read(tmp_path, content)
    assert error in str(raised.value)


def test_an_error_names_the_first_bad_lines_and_a_period_that_neither_time_is_in(tmp_path: Path) -> None:
    header, line = "requestUniqueNo,amount,currency,applied,reversed\n", "A,1,USD,,\n"
    with pytest.raises(UsageError) as raised:
        read(tmp_path, header + line * 50, TWO_TIMES)
    assert str(raised.value).count("one of both times must be in the period") == PROBLEMS_MAX


def test_a_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    file = StatementFile(tmp_path / "none.csv", StatementColumns(), STARTS_AT, ENDS_AT)
    with pytest.raises(UsageError, match=r"none\.csv: No such file"):
        list(read_lines(file, lambda _: None))


@pytest.mark.parametrize(
    ("toml", "error"),
    [
        ("delimiter = ", "is not TOML in UTF-8"),
        ("colour = 'red'", "colour: Extra inputs are not permitted"),
        ("delimiter = '::'", "delimiter: must be one character"),
        ("encoding = 'utf-16'", "encoding: must be an encoding that contains ASCII"),
        ("encoding = 'none'", "encoding: must be an encoding that contains ASCII"),
        ("kind = 'k'", "columns: give kind and time, or applied_time and reversed_time"),
        ("applied_time = 'a'", "columns: give kind and time, or applied_time and reversed_time"),
        ("applied_values = ['x', 'reversed']", "columns: a value of kind has two meanings"),
        ("utc_offset = '8'", "utc_offset: String should match pattern"),
    ],
)
def test_wrong_columns_are_named(tmp_path: Path, toml: str, error: str) -> None:
    with pytest.raises(UsageError) as raised:
        read(tmp_path, HEADER, toml)
    assert error in str(raised.value)
