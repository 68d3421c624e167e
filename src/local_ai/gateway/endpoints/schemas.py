"""The shapes of what the gateway answers itself, as FastAPI checks and describes them."""

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, FiniteFloat

from local_ai.gateway.activity import EndedRequest
from local_ai.gateway.downloads.download import Download
from local_ai.gateway.model_cards import ModelCards
from local_ai.settings.describe import Described
from local_ai.settings.reload import Change
from local_ai.settings.schema import GenerationSettings
from local_ai.status.health import EngineHealth, PeerState, Queue
from local_ai.status.report import ProgramStatus


class PeerNote(BaseModel):
    """The machine that has a model, where it is not this one."""

    name: str
    state: PeerState
    since: float  # seconds since 1970, when it entered that state
    why: str  # it is away


class OpenAIModel(BaseModel):
    """A model as OpenAI describes it."""

    id: str
    object: Literal["model"]
    created: int  # seconds since 1970
    owned_by: str
    context_length: int | None  # tokens; OpenAI has no such field, other servers do
    input_modalities: list[Literal["text", "image"]]  # that it takes; a field of other servers, too
    one_at_a_time: bool | None  # its answers are not generated side by side; None: a peer's, not known
    # Of requests that do not say; None: the peer's own. OpenAI has none of these three fields.
    defaults: GenerationSettings | None
    peer: PeerNote | None  # None: a model of this machine


class OpenAIModelList(BaseModel):
    """The models as OpenAI lists them."""

    object: Literal["list"]
    data: list[OpenAIModel]


class AnthropicModel(BaseModel):
    """A model as Anthropic describes it."""

    type: Literal["model"]
    id: str
    display_name: str
    created_at: str  # RFC 3339
    max_input_tokens: int | None
    max_tokens: int | None


class AnthropicModelList(BaseModel):
    """One page of models as Anthropic lists them."""

    data: list[AnthropicModel]
    has_more: bool
    first_id: str | None
    last_id: str | None


class Liveness(BaseModel):
    """The identity of this copy of local-ai; folder and process are told on this machine only."""

    service: Literal["local-ai"]
    status: Literal["ok"]
    version: str
    state_dir: str | None = None
    pid: int | None = None
    revision: int | None = None  # how often its settings were changed while it ran


class VerdictBody(BaseModel):
    """The server's state, its reason, and what to do about it."""

    health: str
    word: str
    rest: str
    sentence: str
    why: str
    fix: str
    fix_words: str
    command: str
    see: str


class ReadinessBody(BaseModel):
    """The engine's readiness to take a request."""

    ready: bool
    verdict: VerdictBody


@dataclass(frozen=True)
class QueueBody(Queue):
    """The requests that run and wait; nothing of what they say."""

    service: Literal["local-ai"] = "local-ai"


class ActivityBody(BaseModel):
    """The requests that have ended, the newest first."""

    requests: list[EndedRequest]


class DownloadsBody(BaseModel):
    """The pulls that run and the last ones that have ended, the newest first."""

    downloads: list[Download]


@dataclass(frozen=True)
class ModelsBody(ModelCards):
    """The models of this machine, the downloads, and models to begin with."""

    downloads: tuple[Download, ...] = ()  # the newest first


class Done(BaseModel):
    """The result of an action, in a sentence."""

    done: str


class Urls(BaseModel):
    """The addresses of the page and the two APIs."""

    page: str
    openai: str
    anthropic: str


class StatusBody(BaseModel):
    """The report that `local-ai server status --json` prints."""

    verdict: VerdictBody
    programs: list[ProgramStatus]
    engine: EngineHealth | None
    host: str
    port: int
    pid: int | None
    uptime_s: float | None
    models: list[str]
    default_model: str | None
    version: str
    queue: Queue | None
    running: bool
    ready: bool
    urls: Urls


class DiagnosticsBody(BaseModel):
    """The content of a problem report, without secrets."""

    versions: dict[str, str | None]
    settings: dict[str, Any]
    status: StatusBody
    logs: dict[str, list[str]]


class SettingsBody(BaseModel):
    """Every setting, in the order of the example file."""

    file: str
    problem: str  # with the file; "" if there is none
    settings: list[Described]


class SettingsChange(BaseModel):
    """Values to write into the settings file."""

    # By key ("generation.max_tokens"); null takes one out of the file.
    changes: dict[str, bool | int | FiniteFloat | str | list[str] | dict[str, str] | None]


class ReloadBody(BaseModel):
    """The object that `local-ai config reload --json` prints."""

    changed: list[Change]
    needs_restart: list[Change]


class OllamaVersion(BaseModel):
    """The version of Ollama's API that is answered."""

    version: str


class OllamaDetails(BaseModel):
    """Facts of a model's config.json, under Ollama's names."""

    parent_model: str
    format: Literal["safetensors"]
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str


class OllamaEntry(BaseModel):
    """A model in any of Ollama's lists."""

    name: str
    model: str
    size: int  # bytes of its weights
    digest: str  # changes when the folder does
    details: OllamaDetails


class OllamaModel(OllamaEntry):
    """A model of this machine."""

    modified_at: str  # RFC 3339


class OllamaModels(BaseModel):
    """The models of this machine as Ollama lists them."""

    models: list[OllamaModel]


class OllamaLoadedModel(OllamaEntry):
    """A model in memory."""

    expires_at: str  # RFC 3339
    size_vram: int  # bytes of it in the memory of a Mac's graphics card
    context_length: int


class OllamaLoaded(BaseModel):
    """The models in memory as Ollama lists them."""

    models: list[OllamaLoadedModel]


class OllamaStatus(BaseModel):
    """The progress of a pull, as Ollama says it."""

    status: str
    digest: str | None = None  # the commit, while it is downloaded
    total: int | None = None  # bytes of all its files
    completed: int | None = None  # bytes that are here
