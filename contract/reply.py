"""The reply of all three operations (contract, table 4) and its codes."""

from pydantic import BaseModel, ConfigDict

from contract.fields import Int64

CODE_SUCCESS = "0"
CODE_NOT_APPLIED = "US_0000001"
"""Cancel adjust only: the adjust was received but not applied."""
CODE_NEVER_RECEIVED = "US_0000002"
"""Cancel adjust only: the adjust was never received."""


class ExternalReply(BaseModel):
    """One reply. Only `code` must be there; a null counts as absent, unknown fields are ignored.

    Types are strict: `"ok": "true"` or `"code": 0` is not a reply of table 4. Only `data` may be of any JSON type: no
    part of the outcome is in it.
    """

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    bizCode: str | None = None
    code: str
    msg: str | None = None
    tm: Int64 | None = None
    trace: str | None = None
    msgParams: str | None = None
    data: object = None
    ok: bool | None = None
    fail: bool | None = None

    def agrees_with_itself(self) -> bool:
        """Tell whether ok and fail, where present, say the same as the code (interpretations)."""
        success = self.code == CODE_SUCCESS
        return self.ok in {None, success} and self.fail in {None, not success}
