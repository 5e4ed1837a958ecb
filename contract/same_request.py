"""Decides whether two requests under one number are the same request (docs/contract.md#repeating-an-adjust).

A repeat may have another `requestTime`, `ip`, `trace`, `metadata` or remark, or another spelling of the same amount.
With any other difference it is another request: it is refused and changes nothing.
"""

from collections.abc import Mapping

from contract.adjust import AdjustBody
from contract.cancel_adjust import CancelAdjustBody
from contract.cancel_operation import CancelOperationBody
from contract.fields import canonical_amount

Identity = Mapping[str, str | int | None]
"""The fields that identify a request, by name. Two requests are the same if these are equal. Can be stored as JSON."""


def adjust_identity(adjust: AdjustBody, company_id: int | None) -> Identity:
    """Return the fields that identify an adjust, besides its number."""
    return {
        "thirdServerCode": adjust.thirdServerCode,
        "userName": adjust.userName,
        "currency": adjust.currency,
        "bizType": adjust.bizType,
        "operationType": adjust.operationType,
        "amount": canonical_amount(adjust.amount),
        "orderId": adjust.orderId,
        "companyId": company_id,
    }


def cancel_adjust_identity(cancel: CancelAdjustBody, company_id: int | None) -> Identity:
    """Return the fields that identify a cancel adjust, besides its own number."""
    return {
        "reverseRequestUniqueNo": cancel.reverseRequestUniqueNo,
        "thirdServerCode": cancel.thirdServerCode,
        "userName": cancel.userName,
        "currency": cancel.currency,
        "bizType": cancel.bizType,
        "amount": canonical_amount(cancel.amount),
        "orderId": cancel.orderId,
        "companyId": company_id,
    }


def cancel_operation_identity(cancel: CancelOperationBody, company_id: int | None) -> Identity:
    """Return the fields that identify a cancel operation, besides its own number."""
    return {
        "tx_reverse_id": cancel.tx_reverse_id,
        "username": cancel.username,
        "reverse_type": cancel.reverse_type,
        "companyId": company_id,
    }


def differences(first: Identity, repeat: Identity) -> list[str]:
    """Return the names of the fields in which two requests differ; empty if they are the same request."""
    return [field for field in {**first, **repeat} if first.get(field) != repeat.get(field)]
