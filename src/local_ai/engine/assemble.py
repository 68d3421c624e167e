"""Makes the engine's parts from a start's settings."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from starlette.applications import Starlette

from local_ai.engine.app import make_app
from local_ai.engine.blas import preload_blas
from local_ai.engine.core.worker import Worker, WorkerSettings
from local_ai.engine.embeddings import Embedder
from local_ai.engine.errors import EngineError, model_not_found
from local_ai.engine.health import HealthBoard
from local_ai.engine.modalities import OmniRouters
from local_ai.engine.renewal import Renewal
from local_ai.engine.responses.store import ResponseStore
from local_ai.engine.service import Service
from local_ai.engine.terms import ModelKey
from local_ai.errors import LocalAIError
from local_ai.models.catalog import nearest_names
from local_ai.state import State

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Engine:
    """The engine's parts, put together and not yet running."""

    app: Starlette
    worker: Worker
    first: ModelKey | None  # the model to load at start
    renewal: Renewal


def assemble(state: State, *, anew: bool = False) -> Engine:
    """Put the engine together; what is wrong with the settings shows in its health, not in a crash.

    Args:
        anew: It follows one that was ready, and is so from the first: who asks waits for a model to be
            loaded anyway, and the imports are a small part of that.
    """
    settings = state.settings
    board = HealthBoard(settings.engine.text, imported=anew)
    problem: LocalAIError | None = None
    try:
        if library := preload_blas(settings.engine.blas):
            log.info("matrices are multiplied by %s", library)
    except LocalAIError as exc:
        problem = exc
    worker = Worker(
        WorkerSettings(
            trust_remote_code=settings.model.trust_remote_code,
            prompt_cache_bytes=settings.engine.prompt_cache_mb * 1_000_000,
            idle_unload_s=settings.model.idle_unload_s,
        ),
        board,
        problem=problem,
    )
    service = Service(worker, state.paths, settings.model, settings.aliases, settled=state.default_model)
    omni_text = settings.engine.text == "mlx-omni-server"
    # Omni's text path loads models by itself; ours would only hold a second copy.
    first = None if omni_text else service.default_key()
    if first is None and settings.model.path is not None and problem is None and not omni_text:
        worker.report(_missing(settings.model.path, service))
    embedder, responses, omni = Embedder(service.find), ResponseStore(), OmniRouters(board.count_elsewhere)
    app = make_app(service, worker, board, embedder, responses, omni, omni_text=omni_text)
    keeps = (lambda: embedder.has_model, lambda: len(responses) > 0, lambda: omni.has_any)
    return Engine(app, worker, first, Renewal(board, keeps, state.paths.state_file))


def _missing(name: str, service: Service) -> EngineError:
    models = service.models()
    return model_not_found(name, nearest_names(name, models), any_models=bool(models))
