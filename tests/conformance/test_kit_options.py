"""The command line: what is refused before anything is sent, and which of its values a report shows."""

from pathlib import Path

import pytest

from conformance import options
from conformance.app import app
from conformance.settings import settings_of, target_of
from conformance.target import Meaning, Protocol, Target
from tests.support.conformance_program import conformance

SECRET = "Bearer s3cr3t-t0ken"  # noqa: S105 - it is one of a test
URL = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "error: --base-url is missing"),
        (("--base-url", "broker.example"), "error: --base-url must be a URL such as"),
        (("--base-url", "ftp://broker.example"), "error: --base-url must be a URL such as"),
        (("--base-url", "http://"), "error: --base-url must be a URL such as"),
        (("--base-url", "http://broker.example:99999"), "error: --base-url must be a URL such as"),
        (("--base-url", "http://a b"), "error: --base-url must be a URL such as"),
        (("--base-url", "http://broker.example/?a=1"), "error: --base-url must not have a query"),
        (("--base-url", "http://me:pass@broker.example"), "error: --base-url must not contain credentials"),
        (("--base-url", URL, "--adjust-path", "adjust"), "error: --adjust-path must start with /"),
        (("--base-url", URL, "--adjust-path", "/a b"), "error: --adjust-path must start with /"),
        (("--base-url", URL, "--protocol", "none"), "Invalid value for '--protocol'"),
        (("--base-url", URL, "--header", "X-Key"), "error: --header must be 'Name: value'"),
        (("--base-url", URL, "--header", "X Key: 1"), "error: --header must be 'Name: value'"),
        (("--base-url", URL, "--header", "X-Key: a\r\nb"), "error: --header X-Key: the value must be one line"),
        (("--base-url", URL, "--header", "X-Key: "), "error: --header X-Key: the value must be one line"),
        (("--base-url", URL, "--header", "Trace: 1"), "error: --header Trace: the kit sets this header itself"),
        (("--base-url", URL, "--header", "X-Key: env:NOT_SET"), "error: --header X-Key: the environment variable NOT"),
        (("--base-url", URL, "--header", "X-Key: file:/not/there"), "error: --header X-Key: the file /not/there"),
        (("--base-url", URL, "--ca-file", "/not/there"), "error: --ca-file: /not/there is not a PEM file"),
        (("--base-url", URL, "--code", "E1"), "error: --code must be CODE=MEANING"),
        (("--base-url", URL, "--code", "E1=refused"), "error: --code must be CODE=MEANING"),
        (("--base-url", URL, "--code", "0=reversed"), "error: --code 0: the contract defines this code"),
        (("--base-url", URL, "--business-status", "500"), "error: --business-status must be"),
        (("--base-url", URL, "--refused-metadata", "{"), "error: --refused-metadata must be JSON text"),
        (("--base-url", URL, "--slow-metadata", '"' + "x" * 199 + '"'), "error: --slow-metadata must have at most 200"),
        (
            ("--base-url", URL, "--balance-url", URL),
            "error: --balance-url and --balance-pointer must be given together",
        ),
        (("--base-url", URL, "--balance-url", "x", "--balance-pointer", ""), "error: --balance-url must be a URL"),
        (("--base-url", URL, "--balance-url", URL, "--balance-pointer", "a"), "error: --balance-pointer must be empty"),
        (("--base-url", URL, "--only", "C-999"), "error: there is no requirement 'C-999'; --list shows all"),
        (("--base-url", URL, "--curl", "x"), "error: there is no requirement 'X'"),
        (("--base-url", URL, "--report", "/dev/null/x"), "error: --report: the folder cannot be made"),
        (("--base-url", URL, "--parallel", "0"), "Invalid value for '--parallel'"),
        (("--base-url", URL, "--nonsense"), "No such option"),
    ],
)
async def test_wrong_usage_is_refused(arguments: tuple[str, ...], complaint: str) -> None:
    """It ends with 2, says which option is wrong, and prints no result."""
    ran = await conformance("run", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert complaint in ran.err


async def test_value_of_a_wrong_header_is_not_shown() -> None:
    ran = await conformance("run", "--base-url", URL, "--header", f"X-Key: env:KEY{SECRET}", KEY="x")
    assert ran.code == 2
    ran = await conformance("run", "--base-url", URL, "--header", "X-Key: env:KEY", KEY=f"{SECRET}\n")
    assert ran.code == 2
    assert "s3cr3t" not in ran.err + ran.out


def test_header_is_a_literal_or_a_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (file := tmp_path / "it's a key").write_text(f"{SECRET}\n")
    monkeypatch.setenv("API_KEY", SECRET)
    literal, variable, read = (
        options.header(f"X-Api-Key: {value}") for value in (SECRET, "env:API_KEY", f"file:{file}")
    )
    assert {each.value for each in (literal, variable, read)} == {SECRET}
    assert (literal.shell, variable.shell) == ("$X_API_KEY", "$API_KEY")
    assert read.shell == f"$(cat '{tmp_path}/it'\\''s a key')"


def test_settings_are_the_options_without_secrets() -> None:
    values = dict.fromkeys(_names()) | {
        "base_url": URL,
        "header": [f"Authorization: {SECRET}", "X-Key: env:API_KEY"],
        "code": ["E1=reversed", "E2=in-process"],
        "protocol": Protocol.BOTH,
        "races": 20,
        "quiet": True,
    }
    assert settings_of(values) == {
        "--base-url": URL,
        "--header": "Authorization: ***, X-Key: env:API_KEY",
        "--code": "E1=reversed, E2=in-process",
        "--protocol": "both",
        "--races": "20",
    }


def test_every_option_reaches_the_target() -> None:
    fields = {name for name in Target.__dataclass_fields__ if name not in {"headers", "codes", "business_statuses"}}
    names = {name.removesuffix("_metadata").removesuffix("_customer").removesuffix("_url") for name in _names()}
    assert fields - names == {"base_url", "account"}


async def test_declared_codes_have_their_meanings() -> None:
    codes = options.codes(["E1=reversed", "A=B=not-applied"])
    target = Target(URL, codes=codes)
    assert [target.meaning(each) for each in ("0", "US_0000001", "US_0000002", "E1", "A=B", "E9", None)] == [
        Meaning.REVERSED,
        Meaning.NOT_APPLIED,
        Meaning.NEVER_RECEIVED,
        Meaning.REVERSED,
        Meaning.NOT_APPLIED,
        Meaning.REFUSED,
        None,
    ]


def test_needs_are_met_by_one_of_their_alternatives() -> None:
    plain = Target(URL)
    hooked = Target(URL, refused=options.hook("refused", None, "Z9"), protocol=Protocol.CANCEL_OPERATION)
    needs = ("--refused-metadata or --refused-customer",)
    assert (plain.missing(needs), hooked.missing(needs)) == (needs[0], None)
    assert hooked.missing(("--protocol cancel-adjust",)) == "--protocol cancel-adjust"
    assert plain.missing(("--protocol cancel-adjust", "--balance-url")) == "--balance-url"


def test_secrets_are_hidden_wherever_they_occur() -> None:
    target = Target(URL, headers=(options.header('X-Key: a"b\\c-long'), options.header("X-Short: 42")))
    sent = b'POST / HTTP/1.1\r\nX-Key: a"b\\c-long\r\nX-Short: 42\r\n\r\n{"amount":"42"}'
    assert target.redact(sent) == b'POST / HTTP/1.1\r\nX-Key: ***\r\nX-Short: ***\r\n\r\n{"amount":"42"}'
    assert target.redact(b'{"msg":"no key a\\"b\\\\c-long"}') == b'{"msg":"no key ***"}'
    assert target.redact_text("came: 'a\"b\\\\c-long' and a\"b\\c-long") == "came: '***' and ***"


def _names() -> list[str]:
    """Return the options of `run` by the names of its parameters."""
    command = next(each for each in app.registered_commands if each.name == "run")
    assert command.callback is not None
    annotations = command.callback.__annotations__
    return [name for name in annotations if name not in {"context", "return"}]


def test_target_takes_the_defaults_of_the_command() -> None:
    command = next(each for each in app.registered_commands if each.name == "run")
    assert command.callback is not None
    defaults = command.callback.__kwdefaults__ or {}
    assert target_of({**defaults, "base_url": URL, "seed": 7}) == Target(URL, seed=7)
