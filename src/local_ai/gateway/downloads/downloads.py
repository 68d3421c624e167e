"""The pulls of one gateway: started, followed and cancelled by name."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from local_ai.gateway.admission.readiness import stopping_refusal
from local_ai.gateway.downloads.download import Download, DownloadProcess
from local_ai.models.not_found import model_of_peer
from local_ai.serving.errors import ApiError
from local_ai.settings.model_names import name_of_address, peer_in
from local_ai.settings.schema import LocalAISettings

_MOST_RUNNING = 2
_MOST_KEPT = 20
_LONGEST_NAME = 300


class Downloads:
    """At most one pull of a model at a time, at most two in all; the last twenty are remembered."""

    def __init__(self, hub_cache: Path, settings: Callable[[], LocalAISettings] = LocalAISettings) -> None:
        self._hub_cache = hub_cache
        self._settings = settings
        self._processes: dict[str, DownloadProcess] = {}  # by id, the one that began last at the end
        self._is_closed = False

    def all(self) -> list[Download]:
        """Return the pulls that run and those that have ended, the newest first."""
        return [process.now for process in reversed(self._processes.values())]

    def start(self, name: str, revision: str | None = None, *, even_if_too_large: bool = False) -> Download:
        """Start a pull; one of the same model that runs already is returned instead.

        Must be called on the event loop. The hub is asked by the pull's process, so an unknown name is a
        pull that fails soon, not an error here.

        Args:
            name: ORG/NAME, ORG/NAME@REVISION, or the address of its page on the hub. The hub asked is always
                the configured one.
            revision: A branch, tag or commit; None for the one in the name, or main.

        Raises:
            ApiError: 400: the name is empty or too long, or a peer's model. 429: as many as may run at
                once do. 503: the server stops.
        """
        if self._is_closed:
            raise stopping_refusal()
        settings = self._settings()
        if revision is None and (peer := peer_in(name.strip(), [each.name for each in settings.peers])):
            raise model_of_peer(name.strip(), peer)
        name, _, part = name_of_address(name).partition("@")
        name, revision = name.strip(), revision or part or None
        download = Download(f"{name}@{revision}" if revision else name, name, revision, time.time())
        if not name or len(download.id) > _LONGEST_NAME:
            raise _bad_name()
        running = [process.now for process in self._processes.values() if not process.now.has_ended]
        if same := next((one for one in running if one.id == download.id), None):
            return same
        if len(running) >= _MOST_RUNNING:
            raise _too_many(running)
        self._processes.pop(download.id, None)
        self._processes[download.id] = DownloadProcess(
            download, self._hub_cache, settings.models, even_if_too_large=even_if_too_large
        )
        self._forget()
        return download

    def follow(self, id: str) -> AsyncIterator[Download]:  # noqa: A002
        """Yield how a pull is now, then each change; ends with the pull.

        Raises:
            ApiError: 404, there is none of that name.
        """
        return self._find(id).follow()

    async def cancel(self, id: str) -> Download:  # noqa: A002
        """End a pull, and keep what has come; one that has ended stays as it is.

        Raises:
            ApiError: 404, there is none of that name.
        """
        process = self._find(id)
        await process.cancel()
        return process.now

    async def close(self) -> None:
        """End all pulls, and start no more."""
        self._is_closed = True
        await asyncio.gather(*(process.cancel() for process in self._processes.values()))

    def _find(self, id: str) -> DownloadProcess:  # noqa: A002
        if found := self._processes.get(id):
            return found
        raise ApiError(
            "there is no such download",
            status=404,
            why=f"no download of {id[:_LONGEST_NAME]!r} was started here, or it is forgotten",
            fix="GET /downloads.json lists the ones there are",
            code="download_not_found",
            param="model",
        )

    def _forget(self) -> None:
        ended = [id for id, process in self._processes.items() if process.now.has_ended]  # noqa: A001
        for id in ended[: max(0, len(self._processes) - _MOST_KEPT)]:  # noqa: A001
            del self._processes[id]


def _bad_name() -> ApiError:
    return ApiError(
        "model is not valid",
        status=400,
        why=f"it must be a model's name on the hub, of 1 to {_LONGEST_NAME} characters",
        fix="send ORG/NAME, for example mlx-community/Llama-3.2-3B-Instruct-4bit",
        code="invalid_parameter",
        param="model",
    )


def _too_many(running: list[Download]) -> ApiError:
    return ApiError(
        "the download was not started",
        status=429,
        why=f"{_MOST_RUNNING} are running already: {', '.join(one.id for one in running)}",
        fix="wait for one to end, or cancel one",
        code="too_many_downloads",
        may_retry=False,
    )
