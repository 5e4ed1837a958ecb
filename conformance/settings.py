"""The target and the settings that a command line describes."""

import secrets
from collections.abc import Mapping
from typing import Any

from conformance import options
from conformance.orders import Account
from conformance.target import Target

_NOT_SETTINGS = {"only", "list_", "curl", "quiet", "report"}
_UNCHANGED = ("protocol", "company", "repeat_after_s", "load_per_s", "load_s", "idle_s", "races", "exchange_limit_s")
_PATHS = ("adjust_path", "cancel_adjust_path", "cancel_operation_path")
_SEED_LIMIT = 2**32


def target_of(values: Mapping[str, Any]) -> Target:
    """Return the target that options describe, by the names of `conformance.app.run_checks`. Raises OptionError."""
    same: dict[str, Any] = {name: values[name] for name in _UNCHANGED}
    same |= {name: options.path(values[name], _option(name)) for name in _PATHS}
    return Target(
        base_url=options.base_url(values["base_url"]),
        headers=tuple(options.header(each) for each in values["header"] or ()),
        ca_file=options.ca_file(values["ca_file"]),
        codes=options.codes(values["code"] or ()),
        business_statuses=options.business_statuses(values["business_status"] or ()),
        account=Account(values["customer"], values["user"], values["currency"]),
        refused=options.hook("refused", values["refused_metadata"], values["refused_customer"]),
        slow=options.hook("slow", values["slow_metadata"], values["slow_customer"]),
        balance=options.balance(values["balance_url"], values["balance_pointer"]),
        seed=secrets.randbelow(_SEED_LIMIT) if values["seed"] is None else values["seed"],
        **same,
    )


def settings_of(values: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the options as a report shows them, by their names on the command line; those not given are left out."""
    return {
        _option(name): _shown(name, value)
        for name, value in sorted(values.items())
        if value not in (None, []) and name not in _NOT_SETTINGS
    }


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _shown(name: str, value: object) -> str:
    if not isinstance(value, list | tuple):
        return str(value)
    return ", ".join(options.header_setting(each) if name == "header" else str(each) for each in value)
