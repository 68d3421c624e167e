"""The error that an API request is answered with, by either program: status, code, field and words."""

from collections.abc import Mapping, Sequence
from typing import Any

from local_ai.errors import LocalAIError

_RETRY_AFTER_S = 5  # where the same request may succeed later, and nothing better is known
_LATER = (429, 503)


class ApiError(LocalAIError):
    """A request that is answered with an error, in words for the person who sent it."""

    def __init__(
        self,
        what: str,
        *,
        why: str | Sequence[str],
        fix: str = "",
        command: str = "",
        status: int = 400,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: int | None = None,
        may_retry: bool = True,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Describe an error.

        Args:
            status: HTTP status, 400 to 599.
            code: Short machine-readable reason, as in OpenAI's errors.
            param: The request's field that is at fault.
            retry_after_s: When the same request may succeed, in seconds from now.
            may_retry: False where the same request cannot succeed before a person has done something; SDKs
                are told so, which otherwise ask again after any status from 500 on.
            details: What Anthropic's clients act on: `{"error_code": str, …}`.
        """
        super().__init__(what, why=why, fix=fix, command=command)
        self.status = status
        self.code = code
        self.param = param
        self.details = details
        self.may_retry = may_retry
        if retry_after_s is None and may_retry and status in _LATER:
            retry_after_s = _RETRY_AFTER_S
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that belong to the status."""
        if not self.may_retry:
            return {"x-should-retry": "false"}
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}


class ContextLengthError(ApiError):
    """A prompt that the model's context cannot hold (400)."""

    def __init__(self, param: str, why: str, fix: str, *, prompt: int, context: int) -> None:
        """Describe it.

        Args:
            prompt: Tokens of the prompt.
            context: Tokens the model can hold.
        """
        code = "context_length_exceeded"
        super().__init__(f"{param} cannot be used", why=why, fix=fix, param=param, code=code)
        self.prompt = prompt
        self.context = context
