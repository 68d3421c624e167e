"""The gateway's name for an error that it answers itself."""

from __future__ import annotations

from local_ai.serving.errors import ApiError

Refusal = ApiError
