"""What the gateway says no to, with the HTTP status and the fields that API errors have."""

from __future__ import annotations

from local_ai.errors import LocalAIError


class Refusal(LocalAIError):
    """A request that is answered with an error, by us and not by the engine."""

    def __init__(
        self,
        what: str,
        *,
        status: int,
        why: str,
        fix: str,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        """Describe a refusal.

        Args:
            status: HTTP status, 400 to 599.
            code: Short machine-readable reason, as in OpenAI's errors.
            param: The request's field that is at fault.
            retry_after_s: When the same request may succeed, in seconds from now.
        """
        super().__init__(what, why=why, fix=fix)
        self.status = status
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that belong to the status."""
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
