"""Table 1 at the API: for every field, values that break one of its rules, and a word of the error message."""

from typing import Any

from contract.fields import INT64_MAX, INT64_MIN

REQUIRED = (
    "thirdServerCode",
    "userName",
    "currency",
    "bizType",
    "operationType",
    "amount",
    "amountDigits",
    "orderId",
    "requestUniqueNo",
    "requestTime",
    "ip",
)
FIELDS = (*REQUIRED, "metadata")

InvalidValues = dict[str, tuple[object, str]]

NOT_TEXT: InvalidValues = {
    "number": (7, "string"),
    "true": (True, "string"),
    "list": ([], "string"),
    "object": ({}, "string"),
}
NULL_TEXT: InvalidValues = {"null": (None, "string")}
NOT_AN_INTEGER: InvalidValues = {
    "null": (None, "integer"),
    "text": ("1", "integer"),
    "decimals": (1.5, "integer"),
    "float": (1.0, "integer"),
    "true": (True, "integer"),
    "list": ([1], "integer"),
}
CONTROLS: InvalidValues = {
    "newline": ("a\nb", "control characters"),
    "NUL": ("a\x00b", "control characters"),
}


def _text(length_max: int) -> InvalidValues:
    too_long = ("x" * (length_max + 1), f"at most {length_max} characters")
    return {**NOT_TEXT, **NULL_TEXT, **CONTROLS, "empty": ("", "at least 1 character"), "too long": too_long}


NUMBER: InvalidValues = {**_text(48), "newline at the end": ("ORD1\n", "control characters")}
AMOUNT: InvalidValues = {
    **NOT_TEXT,
    "a float": (12.5, "string"),
    **NULL_TEXT,
    "empty": ("", "plain decimal"),
    "exponent": ("1e5", "plain decimal"),
    "plus sign": ("+12.50", "plain decimal"),
    "leading zero": ("012.50", "plain decimal"),
    "no integer part": (".50", "plain decimal"),
    "no decimals after the point": ("12.", "plain decimal"),
    "comma": ("12,50", "plain decimal"),
    "thousands": ("1,000", "plain decimal"),
    "underscore": ("1_000", "plain decimal"),
    "space": (" 12.50", "plain decimal"),
    "newline": ("12.50\n", "plain decimal"),
    "NaN": ("NaN", "plain decimal"),
    "infinity": ("Infinity", "plain decimal"),
    "hexadecimal": ("0x10", "plain decimal"),
    "other digits": ("\u0661\u0662", "plain decimal"),
    "too long": ("1" * 41, "at most 40 characters"),
    "too many decimals": ("12.500", "amountDigits=2"),
    "negative for OPEN_POSITION": ("-12.50", "positive for operationType OPEN_POSITION"),
    "zero": ("0", "positive"),
    "zero with decimals": ("0.00", "positive"),
    "negative zero": ("-0.00", "positive"),
}

RULES: dict[str, InvalidValues] = {
    "thirdServerCode": _text(256),
    "userName": _text(48),
    "currency": {
        **NOT_TEXT,
        **NULL_TEXT,
        "lower case": ("usd", "ISO 4217"),
        "unknown": ("XYZ", "ISO 4217"),
        "four letters": ("USDT", "ISO 4217"),
        "its number": ("840", "ISO 4217"),
        "empty": ("", "ISO 4217"),
        "too long": ("U" * 17, "at most 16 characters"),
    },
    "bizType": {
        "null": (None, "integer"),
        "text": ("1", "integer"),
        "float": (1.0, "integer"),
        "true": (True, "integer"),
        "no order type": (3, "1, 2, 10, 11 or 12"),
        "negative": (-1, "1, 2, 10, 11 or 12"),
    },
    "operationType": {
        "null": (None, "'OPEN_POSITION', 'NORMAL_CLOSE' or 'ABNORMAL_OVERTRADING'"),
        "lower case": ("open_position", "OPEN_POSITION"),
        "unknown": ("CLOSE", "OPEN_POSITION"),
        "empty": ("", "OPEN_POSITION"),
        "number": (1, "OPEN_POSITION"),
        "list": (["OPEN_POSITION"], "OPEN_POSITION"),
    },
    "amount": AMOUNT,
    "amountDigits": {
        **NOT_AN_INTEGER,
        "negative": (-1, "greater than or equal to 0"),
        "19": (19, "less than or equal to 18"),
    },
    "orderId": {
        **NOT_AN_INTEGER,
        "above int64": (INT64_MAX + 1, str(INT64_MAX)),
        "below int64": (INT64_MIN - 1, str(INT64_MIN)),
    },
    "requestUniqueNo": NUMBER,
    "requestTime": {
        **NOT_AN_INTEGER,
        "seconds": (1_760_000_000, "1000000000000"),
        "microseconds": (1_760_000_000_000_000, "9999999999999"),
        "zero": (0, "1000000000000"),
        "negative": (-1_760_000_000_000, "1000000000000"),
    },
    "ip": {
        **NOT_TEXT,
        **NULL_TEXT,
        "host name": ("localhost", "IPv4 or IPv6"),
        "octet 256": ("203.0.113.256", "IPv4 or IPv6"),
        "network": ("203.0.113.0/24", "IPv4 or IPv6"),
        "port": ("203.0.113.7:80", "IPv4 or IPv6"),
        "zone": ("fe80::1%eth0", "without a zone"),
        "empty": ("", "IPv4 or IPv6"),
        "too long": ("1" * 46, "at most 45 characters"),
    },
    "metadata": {
        **NOT_TEXT,
        "plain words": ("vip", "JSON text"),
        "empty": ("", "JSON text"),
        "NaN": ('{"a":NaN}', "JSON text"),
        "two values": ("{} {}", "JSON text"),
        "too long": ('"' + "x" * 199 + '"', "at most 200 characters"),
    },
}

PAIRS: dict[str, tuple[dict[str, Any], str]] = {
    "positive for ABNORMAL_OVERTRADING": ({"operationType": "ABNORMAL_OVERTRADING"}, "must be negative"),
    "negative for NORMAL_CLOSE": ({"operationType": "NORMAL_CLOSE", "amount": "-1"}, "must be positive"),
    "decimals where there are none": ({"amountDigits": 0}, "amountDigits=0"),
    "one decimal too many": ({"amountDigits": 1}, "amountDigits=1"),
}
"""Fields that are valid one by one but not together. The error names the amount."""
