"""The file of external systems is validated as a whole; errors name file, entry and field, and no value."""

from pathlib import Path

import pytest

from activities.call_admission import CallLimits
from activities.circuit_breaker import BreakerPolicy
from config.configuration_file import InvalidFileError
from config.external_systems import ExternalSystems, read_systems
from contract.operations import Operation, TraceCheck
from settlement.code_meanings import CodeMeaning
from settlement.policy import ConfirmMode, SettlementPolicy
from settlement.statement_columns import StatementColumns
from worker_systems import call_limits

SECRET = "Xk29-correct-horse-battery-staple-71"  # noqa: S105 - a marker
SETTINGS = SettlementPolicy(
    cancel_max_attempts=5,
    cancel_initial_interval_s=1,
    cancel_max_interval_s=30,
    confirm_after_s=30,
    expire_after_s=10,
)
TWO = """
[systems.alpha]
companies = [7, 8]
base_url = "https://alpha.example/orders"
cancel_protocol = "cancel-operation"
trace = "ignore"
keep_alive = false
business_statuses = [400, 409]
ca_file = "/etc/ca.pem"
client_certificate_file = "/etc/client.pem"
client_key_file = "/etc/client.key"
[systems.alpha.headers]
Authorization = { file = "/run/secrets/alpha", prefix = "Bearer " }
X-Api-Key = { env = "ALPHA_KEY" }
X-Client = "order-settlement"
[systems.alpha.retry]
max_attempts = 3
sparse_attempts = 4
sparse_initial_interval_s = 600
sparse_max_interval_s = 7200
retry_after_max_s = 60
in_process_max = 2
confirm = "always"
confirm_after_s = 7
[systems.alpha.statement]
delimiter = ";"
applied_time = "in"
reversed_time = "out"
[systems.alpha.codes]
E-208 = "reversed"
"E 102" = "in-process"

[systems.beta]
default = true
base_url = "http://127.0.0.1:8100"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "systems.toml"


def read(file: Path, text: str) -> ExternalSystems:
    file.write_text(text)
    return read_systems(file)


def test_company_is_served_by_the_entry_that_names_it_and_every_other_one_by_the_default(file: Path) -> None:
    systems = read(file, TWO)
    assert [systems.serving(company) for company in (7, 8, 9, None)] == ["alpha", "alpha", "beta", "beta"]


def test_without_a_default_only_the_named_companies_are_served(file: Path) -> None:
    systems = read(file, '[systems.alpha]\ncompanies = [7]\nbase_url = "https://alpha.example"')
    assert [systems.serving(company) for company in (7, 8, None)] == ["alpha", None, None]


def test_entry_has_every_field_of_the_file(file: Path) -> None:
    alpha = read(file, TWO).entries["alpha"]
    assert (alpha.cancel_protocol, alpha.trace) == (Operation.CANCEL_OPERATION, TraceCheck.IGNORE)
    assert (alpha.keep_alive, alpha.ca_file) == (False, Path("/etc/ca.pem"))
    references = {name: str(value.reference) for name, value in alpha.headers.items() if value.reference}
    assert references == {"Authorization": "file /run/secrets/alpha", "X-Api-Key": "environment variable ALPHA_KEY"}
    assert (alpha.headers["Authorization"].prefix, alpha.headers["X-Client"].text) == ("Bearer ", "order-settlement")
    assert alpha.codes == {"E-208": CodeMeaning.REVERSED, "E 102": CodeMeaning.IN_PROCESS}
    assert alpha.business_statuses == (400, 409)
    assert alpha.statement == StatementColumns(delimiter=";", applied_time="in", reversed_time="out")


def test_breaker_is_off_without_its_table_and_has_defaults_with_an_empty_one(file: Path) -> None:
    without, with_breaker = (
        call_limits(read(file, text).entries["alpha"])
        for text in (ENTRY, f"{ENTRY}[systems.alpha.breaker]\n[systems.alpha.limits]\ncalls_per_s = 9")
    )
    assert without == CallLimits(in_flight=None, per_s=None, breaker=None)
    breaker = BreakerPolicy(unknowns=20, open_s=30, cancels_per_min=6)
    assert with_breaker == CallLimits(in_flight=None, per_s=9, breaker=breaker)


def test_policy_takes_from_the_settings_what_the_entry_does_not_say(file: Path) -> None:
    systems = read(file, TWO)
    own = SETTINGS.model_copy(
        update={
            "cancel_max_attempts": 3,
            "cancel_sparse_attempts": 4,
            "cancel_sparse_initial_interval_s": 600,
            "cancel_sparse_max_interval_s": 7200,
            "cancel_retry_after_max_s": 60,
            "cancel_in_process_max": 2,
            "confirm": ConfirmMode.ALWAYS,
            "confirm_after_s": 7,
        }
    )
    assert systems.entries["alpha"].retry.policy(SETTINGS) == own
    assert systems.entries["beta"].retry.policy(SETTINGS) == SETTINGS


ENTRY = '[systems.alpha]\ndefault = true\nbase_url = "https://alpha.example"\n'
WRONG = [
    ("", "systems: Field required"),
    ("[systems]", "systems: Dictionary should have at least 1 item after validation, not 0"),
    ("systems = [", "is not TOML: Invalid value (at end of document)"),
    (ENTRY + "attempts = 3", "systems.alpha.attempts: Extra inputs are not permitted"),
    ("[systems.alpha]\ndefault = true", "systems.alpha.base_url: Field required"),
    (ENTRY.replace("default = true", ""), "systems.alpha.companies: give either companies or default = true"),
    (
        ENTRY + '[systems.alpha.statement]\ntime = "at"',
        "systems.alpha.statement: give kind and time, or applied_time and",
    ),
    (ENTRY + '[systems.alpha.statement]\nutc_offset = "8"', "systems.alpha.statement.utc_offset: String should match"),
    (ENTRY + "companies = [7]", "systems.alpha.companies: give either companies or default = true"),
    (ENTRY.replace("true", "1"), "systems.alpha.default: Input should be a valid boolean"),
    (
        ENTRY.replace("https", "http"),
        "systems.alpha.base_url: must be https for a host that is not loopback, unless allow_http = true",
    ),
    (
        ENTRY.replace("alpha.example", f"us:{SECRET}@alpha.example"),
        "systems.alpha.base_url: must not contain a user or password; use headers",
    ),
    (
        ENTRY.replace("alpha.example", f"us:{SECRET}@alpha.example:x"),
        "systems.alpha.base_url: must be an http or https URL without query or fragment",
    ),
    (ENTRY + 'cancel_protocol = "x"', "systems.alpha.cancel_protocol: Input should be 'cancel-adjust' or 'cancel-oper"),
    (ENTRY + "[systems.alpha.retry]\nconfirm_after_s = 0", "systems.alpha.retry.confirm_after_s: Input should be"),
    (
        ENTRY + '[systems.alpha.retry]\nconfirm = "off"',
        "systems.alpha.retry.confirm: Input should be 'after-not-found', 'always' or 'never'",
    ),
    (ENTRY + "[systems.alpha.retry]\nsparse_attempts = 11", "systems.alpha.retry.sparse_attempts: Input should be"),
    (
        ENTRY + '[systems.alpha.codes]\nUS_0000001 = "reversed"',
        "systems.alpha.codes.US_0000001: is a code of the contract, whose meaning cannot be changed",
    ),
    (ENTRY + '[systems.alpha.codes]\n"0" = "refused"', "systems.alpha.codes.0: is a code of the contract"),
    (
        ENTRY + '[systems.alpha.codes]\nE1 = "gone"',
        "systems.alpha.codes.E1: Input should be 'reversed', 'not-applied', 'never-received', 'in-process' or 'ref",
    ),
    (ENTRY + '[systems.alpha.codes]\n"" = "refused"', "systems.alpha.codes.: String should match pattern"),
    (
        ENTRY + "business_statuses = [500]",
        "systems.alpha.business_statuses.0: must be from 400 to 499, but not 408 or 429",
    ),
    (
        ENTRY + "business_statuses = [400, 429]",
        "systems.alpha.business_statuses.1: must be from 400 to 499, but not 408 or 429",
    ),
    (ENTRY + 'trace = "x"', "systems.alpha.trace: Input should be 'strict' or 'ignore'"),
    (ENTRY + 'ca_file = "ca.pem"', "systems.alpha.ca_file: must be an absolute path"),
    (
        ENTRY + 'client_certificate_file = "/c.pem"',
        "systems.alpha.client_key_file: client_certificate_file and client_key_file belong together",
    ),
    (
        ENTRY + f'signature = {{ key_id = "k", key = "{SECRET}" }}',
        "systems.alpha.signature.key: Input should be an object",
    ),
    (
        ENTRY + 'signature = { key_id = "k", key = {} }',
        'systems.alpha.signature.key: must be {env = "NAME"} or {file = "/path"}',
    ),
    (ENTRY + "[systems.alpha.retry]\nmax_attempts = 21", "systems.alpha.retry.max_attempts: Input should be less tha"),
    (ENTRY + "[systems.alpha.retry]\nexpire_after_s = nan", "systems.alpha.retry.expire_after_s: Input should be"),
    *(
        (f"{ENTRY}[systems.alpha.{table}]\n{field} = {value}", f"systems.alpha.{table}.{field}: Input should be {rule}")
        for table, field, value, rule in (
            ("limits", "calls_in_flight", "0", "greater than or equal to 1"),
            ("limits", "calls_per_s", "10001", "less than or equal to 10000"),
            ("limits", "calls_per_s", "0.5", "a valid integer"),
            ("breaker", "unknowns", "1", "greater than or equal to 2"),
            ("breaker", "open_s", "nan", ""),
            ("breaker", "open_s", "3601", "less than or equal to 3600"),
            ("breaker", "cancels_per_min", "0", "greater than or equal to 1"),
        )
    ),
    (ENTRY.replace("alpha]", '"Al pha"]'), "systems.'Al pha': a name must be 1 to 32 lower-case letters, digits and"),
    (
        ENTRY + ENTRY.replace("alpha", "beta"),
        "systems.beta.default: systems.alpha is already the default",
    ),
    (
        ENTRY.replace("default = true", "companies = [7]")
        + ENTRY.replace("default = true", "companies = [7]").replace("alpha", "beta"),
        "systems.beta.companies: 7 is already in systems.alpha",
    ),
]


@pytest.mark.parametrize(("text", "problem"), WRONG)
def test_error_names_file_entry_field_and_rule_but_no_value(file: Path, text: str, problem: str) -> None:
    with pytest.raises(InvalidFileError) as invalid:
        read(file, text)
    assert str(invalid.value).startswith(f"{file}: {problem}")
    assert SECRET not in f"{invalid.value!s}{invalid.value!r}{invalid.value.__cause__!r}"


HEADERS = ENTRY + "[systems.alpha.headers]\n"
REFERENCE = 'must be a reference, {env = "NAME"} or {file = "/path"}'
WRONG_HEADERS = [
    (f'Authorization = "Bearer {SECRET}"', f"Authorization: {REFERENCE}"),
    (f'X-Api-Key = "{SECRET}"', f"X-Api-Key: {REFERENCE}"),
    (f'Authorization = {{ text = "{SECRET}" }}', f"Authorization: {REFERENCE}"),
    (f'X-Api-Key = {{ env = "A", text = "{SECRET}" }}', "X-Api-Key: must be {env"),
    (f'Authorization = {{ env = "A", prefix = "{SECRET}" }}', "Authorization.prefix: String should match pattern"),
    (f'Authorization = {{ value = "{SECRET}" }}', "Authorization.value: Extra inputs are not permitted"),
    ('Authorization = { file = "relative" }', "Authorization.file: must be an absolute path"),
    ('Authorization = { env = "NOT-A-NAME" }', "Authorization.env: String should match pattern"),
    ('Content-Type = "text/plain"', "Content-Type: is set by this service"),
    ('companyId = "7"', "companyId: is set by this service"),
    ('X-Client = "a"\nx-client = "b"', "x-client: is given twice"),
    ('X-Client = "a\\r\\nb: c"', "X-Client.text: String should match pattern"),
]


@pytest.mark.parametrize(("header", "problem"), WRONG_HEADERS)
def test_secret_in_a_header_must_be_a_reference(file: Path, header: str, problem: str) -> None:
    with pytest.raises(InvalidFileError) as invalid:
        read(file, HEADERS + header)
    assert str(invalid.value).startswith(f"{file}: systems.alpha.headers.{problem}")
    assert SECRET not in f"{invalid.value!s}{invalid.value!r}"


def test_all_broken_rules_are_named_up_to_a_limit(file: Path) -> None:
    text = ENTRY + "".join(f"unknown{number} = 1\n" for number in range(25))
    with pytest.raises(InvalidFileError, match=r"; and 5 more$") as invalid:
        read(file, text)
    assert len(invalid.value.problems) == 20


def test_file_that_cannot_be_read_is_named(file: Path) -> None:
    with pytest.raises(InvalidFileError, match=r"systems\.toml: cannot be read \(No such file or directory\)"):
        read_systems(file)
    file.write_bytes(b"\xff")
    with pytest.raises(InvalidFileError, match="is not UTF-8"):
        read_systems(file)
    file.write_bytes(b"#" * 1_000_001)
    with pytest.raises(InvalidFileError, match="has more than 1000000 bytes"):
        read_systems(file)
