"""Several processes that compute one model together, as the core of the one that leads them sees them."""

from __future__ import annotations

from typing import Any, Protocol

from local_ai.engine.core.job import ModelKey


class Lead(Protocol):
    """The group that this process leads; for the generating thread alone. See `engine/cluster`."""

    @property
    def size(self) -> int:
        """The number of processes that compute a model, this one among them."""

    def join(self) -> None:
        """Wait until all have come."""

    def split(self, key: ModelKey, model: Any, config: dict[str, Any], *, trust_remote_code: bool) -> int:
        """Have each load its part of a model that is loaded lazily here; return the model's number.

        Raises:
            ApiError: 422 `model_not_loadable`.
        """

    def drop(self, number: int) -> None:
        """Have the others unload a model."""

    def generator(self, model: Any, number: int, **options: Any) -> Any:
        """Make a BatchGenerator that all step together."""
