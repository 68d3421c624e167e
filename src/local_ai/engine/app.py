"""The engine's application: health, both dialects, and what comes from MLX Omni Server."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local_ai.engine.api.anthropic.routes import anthropic_routes
from local_ai.engine.api.body import Body
from local_ai.engine.api.endpoints import FAILURES
from local_ai.engine.api.ollama.routes import ollama_routes
from local_ai.engine.api.openai.routes import openai_routes
from local_ai.engine.api.problems import read_model
from local_ai.engine.api.requests import json_response, read_body, unless_gone
from local_ai.engine.api.responses.routes import responses_routes
from local_ai.engine.api.responses.store import ResponseStore
from local_ai.engine.core.job import ModelKey
from local_ai.engine.core.worker import Worker, WorkerSettings
from local_ai.engine.embeddings import Embedder, EmbeddingRequest, embedding_body
from local_ai.engine.health import HealthBoard
from local_ai.engine.omni.fields import Place, place_text
from local_ai.engine.omni.routers import ANTHROPIC_TEXT, OPENAI_TEXT, OmniRouters
from local_ai.engine.process.blas import Blas, preload_blas
from local_ai.engine.process.keep_awake import AwakeWhileAnswering, KeepAwake
from local_ai.engine.process.self_restart import SelfRestart
from local_ai.engine.rerank import Reranker, RerankRequest, rerank_body
from local_ai.engine.templating.process import TemplateProcesses
from local_ai.engine.text.pictures import PictureReader
from local_ai.engine.text.service import Service
from local_ai.errors import LocalAIError
from local_ai.models.catalog import find_model
from local_ai.models.library import ModelLibrary, library_for
from local_ai.models.memory import budget_bytes
from local_ai.models.not_found import model_not_found
from local_ai.models.prompt_files import DiskCacheSettings, prompts_dir
from local_ai.serving.dialects import refused_response
from local_ai.serving.errors import ApiError
from local_ai.serving.imports import import_async_parts
from local_ai.serving.request_id import RequestIds
from local_ai.settings.state import State, read_state
from local_ai.status.health import EngineHealth, RankHealth

if TYPE_CHECKING:
    from local_ai.engine.cluster.lead import Lead
    from local_ai.settings.schema import LocalAISettings, NamedModelSettings

_LONGEST_WAIT_S = 10.0  # of who asks for health once it has changed


def make_app(engine: Engine) -> Starlette:
    """Put the application together; nothing is imported or loaded by it."""
    service = engine.service

    async def health(request: Request) -> Response:
        if state := request.query_params.get("unlike"):
            await engine.board.leaves(state, within_s=_seconds(request.query_params.get("within_s", "")))
        told = _with_models(engine.board.read(), engine.worker)
        return json_response(dataclasses.asdict(dataclasses.replace(told, ranks=engine.ranks())))

    async def recent(_request: Request) -> Response:
        """Return the figures of the last answers, by request id; for the gateway."""
        return json_response(list(service.recent))

    async def unload(request: Request) -> Response:
        """Not part of either API: for the socket's owner, and not forwarded by the gateway."""
        named = await read_body(request, partial(read_model, model=_Named))
        return json_response(dataclasses.asdict(await unless_gone(request, service.unload(named.model))))

    async def pin(request: Request) -> Response:
        """Not forwarded either."""
        wanted = await read_body(request, partial(read_model, model=_Pinned))
        done = service.pin(wanted.model, pinned=wanted.pinned)
        return json_response({"pinned": await unless_gone(request, done)})

    async def embeddings(request: Request) -> Response:
        wanted = await read_body(request, partial(read_model, model=EmbeddingRequest))
        return json_response(embedding_body(await engine.embedder.embed(wanted.texts()), wanted))

    async def rerank(request: Request) -> Response:
        wanted = await read_body(request, partial(read_model, model=RerankRequest))
        return json_response(rerank_body(await engine.reranker.rank(wanted), wanted))

    async def take_settings(_request: Request) -> Response:
        """Not forwarded either."""
        await asyncio.to_thread(engine.reload)
        return json_response({})

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/recent", recent),
            Route("/reload", take_settings, methods=["POST"]),
            Route("/pin", pin, methods=["POST"]),
            Route("/unload", unload, methods=["POST"]),
            *(_omni_text_routes(engine.omni, service) if engine.is_omni_text else ()),
            Route("/v1/embeddings", embeddings, methods=["POST"]),
            Route("/v1/rerank", rerank, methods=["POST"]),
            *responses_routes(service, engine.responses),
            *openai_routes(service),
            *anthropic_routes(service),
            *ollama_routes(service, engine.embedder),
        ],
        exception_handlers={404: _no_such_route, 405: _wrong_method, **FAILURES},
        middleware=[
            Middleware(AwakeWhileAnswering, keep_awake=engine.keep_awake),
            Middleware(RequestIds),
        ],
    )


class _Named(Body):
    """The model that a command means; none: all."""

    model: str | None = None


class _Pinned(Body):
    """A model, and whether it stays in memory."""

    model: str
    pinned: bool


def _with_models(health: EngineHealth, worker: Worker) -> EngineHealth:
    """Add what is in memory; of models that generate text, the latest used one stands for all."""
    models = worker.in_memory()
    health = dataclasses.replace(health, models=models, loadable_bytes=worker.loadable_bytes)
    latest = next((each for each in models if each.kind == "text"), None)
    if latest is None or health.model is None:
        return health
    return dataclasses.replace(health, model=latest.id, unloads_in_s=latest.unloads_in_s)


def _seconds(text: str) -> float:
    try:
        return min(max(float(text), 0.0), _LONGEST_WAIT_S)
    except ValueError:
        return 0.0


def _omni_text_routes(omni: OmniRouters, service: Service) -> list[Route]:
    """Omni's text path, ahead of ours."""
    place = place_text(service)
    return [
        _omni_route(omni, place, OPENAI_TEXT, "/v1/chat/completions"),
        _omni_route(omni, place, ANTHROPIC_TEXT, "/anthropic/v1/messages", path="/v1/messages"),
    ]


def _omni_route(omni: OmniRouters, place: Place, module: str, at: str, *, path: str | None = None) -> Route:
    endpoint = partial(omni.call, module, path=path or at, place=place)
    return Route(at, endpoint, methods=["POST"])


async def _no_such_route(request: Request, _exc: Exception) -> Response:
    error = ApiError(
        f"{request.url.path[:200]} is not answered here",
        why="no such path",
        fix="see docs/api.md for the paths there are",
        status=404,
        code="not_found",
    )
    return refused_response(request.url.path, error, source="engine")


async def _wrong_method(request: Request, _exc: Exception) -> Response:
    error = ApiError(
        f"{request.method} is not answered here",
        why=f"{request.url.path[:200]} knows other methods",
        fix="use POST to generate and GET to list",
        status=405,
        code="method_not_allowed",
    )
    return refused_response(request.url.path, error, source="engine")


log = logging.getLogger(__name__)


class Engine:
    """The engine's parts, put together and not yet running."""

    def __init__(self, state: State, *, anew: bool = False, lead: Lead | None = None) -> None:
        """Put them together; what is wrong with the settings shows in health, not in a crash.

        Args:
            anew: It follows one that was ready, and is so from the first: who asks waits for a model to be
                loaded anyway, and the imports are a small part of that.
            lead: Of the ranks that compute models together; None: this process does.
        """
        self._live = live = _Live(state)
        settings = state.settings
        blas, problem = _preload_blas(settings.engine.blas)
        self.board = HealthBoard(settings.engine.text, imported=anew, blas=blas)
        self.templates = TemplateProcesses()
        self.worker = Worker(
            _worker_settings(state, live, lead),
            self.board,
            problem=problem,
            on_loading=self._get_ready,
        )
        self.pictures = PictureReader(lambda: live.settings.vision)
        self.service = Service(self.worker, live.library, lambda: live.settings, self.pictures)
        self.embedder = Embedder(self.worker, self.service.find)
        self.reranker = Reranker(self.worker, self.service.find)
        self.responses = ResponseStore()
        self.omni = OmniRouters(self.board.count_elsewhere)
        self.keep_awake = KeepAwake(lambda: live.settings.power.keep_awake)
        self.ranks: Callable[[], tuple[RankHealth, ...]] = lead.ranks if lead else tuple
        if lead:
            lead.tell_state(lambda: self.board.read().state)
        # Omni's text path, for comparison, loads models by itself; ours would only hold a second copy.
        self.is_omni_text = settings.engine.text == "mlx-omni-server"
        self._first = None if self.is_omni_text else self.service.default_key()
        named = settings.model.path
        if self._first is None and named is not None and problem is None and not self.is_omni_text:
            self.worker.report(model_not_found(named, live.library()))
        keeps = (
            lambda: self.embedder.has_model,
            lambda: self.reranker.has_model,
            lambda: len(self.responses) > 0,
            lambda: self.omni.has_any,
            lambda: self.worker.has_pins,
            lambda: lead is not None,  # the other ranks follow this process
        )
        self.self_restart = SelfRestart(self.board, keeps, state.paths.state_file)
        self.app = make_app(self)

    def start(self, *, preload: bool) -> None:
        """Start the generating thread; with `preload` it loads the default model before the first request."""
        self.worker.start(self._first, tokens=self.service.defaults(None).max_tokens, preload=preload)

    def _get_ready(self) -> None:
        """Do in advance what the first answer would wait for; on the generating thread."""
        import_async_parts()
        self.templates.get_ready()

    def reload(self) -> None:
        """Take the settings from state.json again."""
        self._live.read_again()
        self.worker.wake()


def _worker_settings(state: State, live: _Live, lead: Lead | None) -> WorkerSettings:
    settings = state.settings
    disk = DiskCacheSettings(
        prompts_dir(state.paths),
        lambda: live.settings.cache.disk,
        lambda: live.settings.cache.writes_gb_per_hour,
    )
    return WorkerSettings(
        trust_remote_code=settings.model.trust_remote_code,
        prompt_cache_bytes=settings.engine.prompt_cache_mb * 1_000_000,
        idle_unload_s=live.idle_unload_s,
        max_batch=None if settings.engine.max_batch == "auto" else settings.engine.max_batch,
        # Of several ranks each would have to keep its part, and all of them the same ones.
        disk=None if lead else disk,
        budget_bytes=live.budget_bytes,
        fit_check=lambda: live.settings.models.fit_check,
        is_pinned=live.is_pinned,
        lead=lead,
        device=settings.engine.device,
    )


class _Live:
    """The settings that hold now."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._owns: dict[ModelKey, NamedModelSettings | None] = {}

    @property
    def settings(self) -> LocalAISettings:
        return self._state.settings

    def library(self) -> ModelLibrary:
        """Read which models the machine has."""
        return library_for(self._state.settings, self._state.paths, settled=self._state.default_model)

    def read_again(self) -> None:
        """Take what state.json holds by now."""
        self._state = read_state(self._state.paths.state_file)
        self._owns = {}
        logging.getLogger().setLevel(self.settings.server.log_level)
        log.info("the settings were read again")

    def budget_bytes(self) -> int | None:
        """Bytes that all models together may have; None: as the machine has them."""
        return budget_bytes(self.settings.models)

    def idle_unload_s(self, key: ModelKey) -> float:
        """Seconds after which a model is unloaded; its own value wins."""
        own = self._own(key)
        if own and own.idle_unload_s is not None:
            return own.idle_unload_s
        return self.settings.model.idle_unload_s

    def is_pinned(self, key: ModelKey) -> bool:
        """True if a model never makes way."""
        own = self._own(key)
        return bool(own and own.pin)

    def _own(self, key: ModelKey) -> NamedModelSettings | None:
        """Find a model's own settings."""
        if key not in self._owns:
            found = find_model(str(key.path), self.library().models) if self.settings.models.named else None
            self._owns[key] = found.own if found else None
        return self._owns[key]


def _preload_blas(choice: str) -> tuple[Blas | None, LocalAIError | None]:
    try:
        blas = preload_blas(choice)
    except LocalAIError as exc:
        return None, exc
    if blas.fix:
        log.warning("prompts are read slowly with %s; to fix it: %s", blas.name, blas.fix)
    elif blas.name:
        log.info("matrices are multiplied with %s", blas.name)
    return blas, None
