"""The settings, with defaults, units and bounds. Frozen; an unknown key is an error."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from local_ai.settings.model_names import name_of_address, peer_in

# Serialise with this context to write secrets out (state.json, mode 0600); anywhere else they are masked.
REVEAL = {"reveal_secrets": True}

_MIN_KEY_CHARS = 8
MOST_PEERS = 1000


def _masked(key: SecretStr, info: SerializationInfo) -> str:
    return key.get_secret_value() if info.context == REVEAL else str(key)


Secret = Annotated[SecretStr, PlainSerializer(_masked)]


class _Section(BaseModel):
    # A model's path may start with "model_", which pydantic would otherwise reserve.
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


def _is_visible(text: str) -> bool:
    return bool(text.strip()) and text.isprintable()


def _printable(text: str) -> str:
    if not _is_visible(text):
        raise ValueError("must be visible text")
    return text


def _host(text: str) -> str:
    if re.search(r"[/\s]", text) or re.fullmatch(r"[^:]*:\d*|\[.*\]:\d*", text):
        raise ValueError('must be an address or a name alone, such as "127.0.0.1", without http:// and port')
    return text


def _picture_host(text: str) -> str:
    if re.search(r"[*@\[\]]", text):
        raise ValueError('must be a whole name or address, such as "images.example.com"')
    return text


def _split(value: object, info: ValidationInfo) -> object:
    """Take "a, b" for a list where all values are text (environment, command line), never in a file."""
    if isinstance(value, str) and info.mode == "python":
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(value) if isinstance(value, list) else value


def _pairs(value: object, info: ValidationInfo) -> object:
    """Take "a = b, c = d" for a table where all values are text (environment), never in a file."""
    if isinstance(value, str) and info.mode == "python":
        parts = [part.partition("=") for part in value.split(",") if part.strip()]
        return {name.strip(): target.strip() for name, _, target in parts}
    return value


def _usable_aliases(aliases: dict[str, str]) -> dict[str, str]:
    for name, target in aliases.items():
        if not _is_visible(name) or not _is_visible(target):
            raise ValueError(f'must be names in quotes, such as "gpt-4o" = "default"; {name!r} is not')
        if name == target:
            raise ValueError(f"must lead to another name; {name!r} leads to itself")
    return {name: name_of_address(target) for name, target in aliases.items()}


def _usable_key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if len(text) < _MIN_KEY_CHARS or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"must be at least {_MIN_KEY_CHARS} visible ASCII characters without spaces")
    return key


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if (
        parts.scheme not in {"http", "https"}
        or not parts.netloc
        or text != f"{parts.scheme}://{parts.netloc}"
    ):
        raise ValueError('must be a scheme and a host, such as "http://localhost:3000"')
    return text.lower()


def _listed_peers(value: object, info: ValidationInfo) -> object:
    """Take a JSON list where all values are text (environment), never in a file."""
    if isinstance(value, str) and info.mode == "python":
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError('must be a JSON list, such as [{"name": "studio", "url": "http://…"}]') from None
    return tuple(value) if isinstance(value, list) else value


def _peer_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38}[A-Za-z0-9])?", text):
        raise ValueError("must be 1–40 letters, digits and dashes, with no dash at either end")
    return text


def _peer_url(text: str) -> str:
    """Return scheme, host and port; "/v1" at the end, which clients' base addresses have, is left out."""
    wrong = 'must be an address such as "http://studio.local:8080", without a key, a path or a question mark'
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(wrong) from None
    path = parts.path.rstrip("/").removesuffix("/v1")
    usable = parts.scheme in {"http", "https"} and parts.hostname and port != 0
    if not usable or path or "@" in text or re.search(r"[?#\\\s]", text) or not text.isascii():
        raise ValueError(wrong)
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _peer_key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not re.fullmatch(r"[\x21-\x7e]{1,1000}", text):
        raise ValueError("must be visible ASCII characters without spaces")
    return key


def _unique_peers(peers: tuple[PeerSettings, ...]) -> tuple[PeerSettings, ...]:
    names = [peer.name.lower() for peer in peers]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"must have names of their own; {twice!r} is given twice")
    if len(peers) > MOST_PEERS:
        raise ValueError(f"must be at most {MOST_PEERS}")
    return peers


Host = Annotated[str, AfterValidator(_printable), AfterValidator(_host)]
PictureHost = Annotated[Host, AfterValidator(_picture_host)]
Origin = Annotated[str, AfterValidator(_origin)]
ApiKey = Annotated[Secret, AfterValidator(_usable_key)]
UserPath = Annotated[Path, AfterValidator(Path.expanduser)]
Aliases = Annotated[dict[str, str], BeforeValidator(_pairs), AfterValidator(_usable_aliases)]
MaxTokens = Annotated[int, Field(ge=1)]
Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(gt=0, le=1)]
TopK = Annotated[int, Field(ge=0)]
MinP = Annotated[float, Field(ge=0, le=1)]
IdleSeconds = Annotated[float, Field(ge=0, le=604_800)]  # a week


class ServerSettings(_Section):
    """The one public listener."""

    host: Host = Field("127.0.0.1", description="Address the gateway listens on.")
    port: int = Field(8080, ge=1, le=65535, description="TCP port the gateway listens on.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least severe level written to the logs."
    )
    allowed_hosts: Annotated[tuple[Host, ...], BeforeValidator(_split)] = Field(
        (), description="Further names clients may use for this machine; others are refused."
    )
    allowed_origins: Annotated[tuple[Origin, ...], BeforeValidator(_split)] = Field(
        (), description="Other sites whose pages may use the API from a browser (CORS); none by default."
    )
    api_keys: Annotated[tuple[ApiKey, ...], BeforeValidator(_split)] = Field(
        (), description="Keys of which clients must send one; none: no key is needed."
    )
    drain_s: float = Field(
        10, ge=0, le=3600, description="Longest a stop waits for running answers to finish, in seconds."
    )
    allow_unauthenticated: bool = Field(
        False, description="Listen beyond this machine although there is no key."
    )


class ModelSettings(_Section):
    """The model used when a request names none."""

    path: Annotated[str, Field(min_length=1), AfterValidator(name_of_address)] | None = Field(
        None, description="Name of a model found on this machine, or a model folder."
    )
    adapter_path: UserPath | None = Field(None, description="Folder of a LoRA adapter for it.")
    trust_remote_code: bool = Field(
        False, description="Let a model and its tokenizer run Python code that came with them."
    )
    preload: bool = Field(True, description="Load it at start; else with the first request for it.")
    idle_unload_s: IdleSeconds = Field(
        0, description="Unload any model after this many idle seconds; 0 keeps it."
    )


class NamedModelSettings(_Section):
    """One model's own values (`[models."NAME"]`); what it leaves out is as for all models."""

    max_tokens: MaxTokens | None = Field(None, description="Longest answer, in tokens.")
    temperature: Temperature | None = Field(None, description="0 always takes the likeliest token.")
    top_p: TopP | None = Field(None, description="Probability mass kept; 1 keeps all.")
    top_k: TopK | None = Field(None, description="Likeliest tokens kept; 0 keeps all.")
    min_p: MinP | None = Field(None, description="Least probability kept, relative to the best.")
    thinking: bool | None = Field(None, description="Whether it thinks before it answers, if it can.")
    context_tokens: MaxTokens | None = Field(
        None, description="Most tokens of prompt and answer together; no more than its config.json says."
    )
    chat_template: UserPath | None = Field(None, description="File of a chat template, in place of its own.")
    adapter_path: UserPath | None = Field(None, description="Folder of a LoRA adapter for it.")
    aliases: tuple[Host, ...] | None = Field(None, description="Further names that it answers to.")
    idle_unload_s: IdleSeconds | None = Field(
        None, description="Unload it after this many idle seconds; 0 keeps it."
    )
    pin: bool | None = Field(
        None, description="Whether it stays in memory: neither idle nor for another model is it unloaded."
    )

    @model_serializer(mode="wrap")
    def _only_given(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in write(self).items() if value is not None}


class ModelsSettings(_Section):
    """Folders of models besides the hub cache and our own; and one model's own values."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())
    __pydantic_extra__: dict[str, NamedModelSettings] = Field(init=False)
    # Kept as typed: "~" is whose home it is where it is read.
    paths: Annotated[tuple[Path, ...], BeforeValidator(_split)] = Field(
        (Path("~/.lmstudio/models"),),
        description="Further folders with model folders (NAME or ORG/NAME) in them.",
    )
    budget: Literal["auto"] | Annotated[float, Field(gt=0)] = Field(
        "auto",
        description='Most memory for all models together, in GB; "auto": as much as the machine can hold.',
    )
    fit_check: bool = Field(
        True, description="Refuse a model that the machine cannot hold; false loads it all the same."
    )

    @model_validator(mode="after")
    def _no_alias_twice(self) -> ModelsSettings:
        owners: dict[str, str] = {}
        for name, own in self.named.items():
            for alias in own.aliases or ():
                if owners.setdefault(alias, name) != name:
                    raise ValueError(f"the alias {alias!r} is given to {owners[alias]!r} and to {name!r}")
        return self

    @property
    def named(self) -> dict[str, NamedModelSettings]:
        """One model's own values, by the name that the settings use."""
        return self.__pydantic_extra__


class GenerationSettings(_Section):
    """Values used where a request is silent; what the request says wins."""

    max_tokens: MaxTokens = Field(4096, description="Longest answer, in tokens.")
    temperature: Temperature = Field(0.0, description="0 always takes the likeliest token.")
    top_p: TopP = Field(1.0, description="Probability mass kept; 1 keeps all.")
    top_k: TopK = Field(0, description="Likeliest tokens kept; 0 keeps all.")
    min_p: MinP = Field(0.0, description="Least probability kept, relative to the best.")
    thinking: bool | None = Field(
        None, description="Whether models that can think before they answer do; not set: as each does."
    )

    def of_model(self, own: NamedModelSettings | None) -> GenerationSettings:
        """Return the values that hold for one model."""
        if own is None:
            return self
        given = own.model_dump(include=set(GenerationSettings.model_fields))
        return self.model_copy(update=given)


class EngineSettings(_Section):
    """The process that holds the models."""

    text: Literal["mlx-lm", "mlx-omni-server"] = Field(
        "mlx-lm", description="What generates text: mlx-lm's batching core, or omni's own routers."
    )
    device: Literal["auto", "cpu", "gpu"] = Field(
        "auto", description='What computes: "auto" takes a GPU where MLX finds one; "gpu" needs one.'
    )
    blas: str = Field(
        "auto",
        min_length=1,
        description='Linux: BLAS library to preload: "auto", "packaged", "none", or a path.',
    )
    prompt_cache_mb: int = Field(
        2048, ge=0, description="Most memory for remembered prompts, in megabytes; 0 remembers none."
    )
    max_batch: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = Field(
        "auto", description='Most answers generated at once; "auto" goes by the device and its memory.'
    )
    max_crashes: int = Field(
        3, ge=2, le=10_000, description="Crashes within five minutes after which it is not restarted again."
    )


class CacheSettings(_Section):
    """Remembered prompts that outlive the engine process."""

    disk: Literal["auto"] | Annotated[float, Field(ge=0, le=100_000)] = Field(
        "auto",
        description='Most disk space for remembered prompts, in GB; 0: none; "auto": by what is free.',
    )
    writes_gb_per_hour: float = Field(
        20, gt=0, le=100_000, description="Most that is written for them in one clock hour, in GB."
    )


class GatewaySettings(_Section):
    """The process that answers on the public port."""

    wait_for_engine_s: float = Field(
        120, ge=0, le=3600, description="Longest a request waits for the engine to be ready, in seconds."
    )
    max_body_mb: int = Field(64, ge=1, le=4096, description="Largest request body taken, in megabytes.")
    max_concurrency: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = Field(
        "auto",
        description='Most requests the engine is given at once, the rest wait in the queue; "auto" gives it '
        "as many as it generates at once.",
    )
    max_queue: int = Field(
        512, ge=0, le=100_000, description="Most requests that wait in the queue; further ones are refused."
    )


class VisionSettings(_Section):
    """Pictures in requests."""

    max_pictures: int = Field(50, ge=1, le=10_000, description="Most pictures in one request.")
    max_picture_mb: float = Field(
        20, gt=0, le=4096, description="Largest file of a picture, in megabytes (a million bytes)."
    )
    max_megapixels: float = Field(
        64, gt=0, le=1000, description="Most pixels of a picture, in millions, before it is scaled."
    )
    max_edge: int = Field(
        2048, ge=64, le=16384, description="A picture's longer edge is scaled down to it, in pixels."
    )
    allowed_hosts: Annotated[tuple[PictureHost, ...], BeforeValidator(_split)] = Field(
        (), description="Hosts from which pictures are fetched over http or https; none by default."
    )


class PeerSettings(_Section):
    """Another server whose models are asked for here as `model@name` (`[[peers]]`)."""

    name: Annotated[str, AfterValidator(_peer_name)] = Field(description="What follows the @.")
    url: Annotated[str, AfterValidator(_peer_url)] = Field(
        description="Its address; with https, its certificate is checked."
    )
    api_key: Annotated[Secret, AfterValidator(_peer_key)] | None = Field(
        None, description="The key it asks for; sent to it alone."
    )
    max_concurrency: int = Field(
        64, ge=1, le=4096, description="Most requests it is given at once; the rest wait in the queue."
    )


class RoutingSettings(_Section):
    """The choice of a machine, where several can answer."""

    replicas: bool = Field(
        False,
        description="Whether a model that peers have, too, is answered by any of them under its plain name.",
    )


class ClusterSettings(_Section):
    """One model over several machines, or over several processes of this one."""

    hosts: Annotated[tuple[Host, ...], BeforeValidator(_split)] = Field(
        (), description="ssh names of the machines that compute each model together, this one first."
    )
    processes: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes of this machine that do so, such as one for each graphics card.",
    )
    backend: Literal["auto", "ring", "jaccl", "nccl"] = Field(
        "auto",
        description='What connects them: "ring" (any network), "jaccl" (Thunderbolt 5), "nccl" (NVIDIA).',
    )
    silence_s: float = Field(
        20,
        ge=2,
        le=600,
        description="Seconds of silence after which one counts as lost, and all start again.",
    )
    port: int = Field(
        32323, ge=1024, le=65000, description="First TCP port between hosts; each host takes the next one."
    )
    python: str | None = Field(
        None,
        min_length=1,
        description="Python of local-ai on the other hosts; not set: the path it has here.",
    )
    devices: UserPath | None = Field(
        None, description="jaccl: the hostfile that mlx.distributed_config wrote, for its RDMA devices."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> ClusterSettings:
        if self.hosts and self.processes > 1:
            raise ValueError("takes hosts (several machines) or processes (this machine alone), not both")
        if len(self.hosts) == 1:
            raise ValueError(
                "hosts must name two machines or more, this one first; for one machine set processes"
            )
        if len(set(self.hosts)) < len(self.hosts):
            raise ValueError("hosts names a machine twice; for several processes of one set processes")
        if self.backend == "jaccl" and (self.devices is None or not self.hosts):
            raise ValueError(
                'backend = "jaccl" needs hosts, and in devices the hostfile of mlx.distributed_config'
            )
        return self

    @property
    def size(self) -> int:
        """The number of processes that compute each model together."""
        return len(self.hosts) or self.processes

    @property
    def is_on(self) -> bool:
        """True if there is more than one."""
        return self.size > 1


class PowerSettings(_Section):
    """The computer's power."""

    keep_awake: bool = Field(
        True, description="macOS: no idle sleep while an answer runs; a closed lid still sleeps."
    )


class ConfigSettings(_Section):
    """The settings themselves."""

    watch: bool = Field(False, description="Let a running server take each change of the file by itself.")


class LocalAISettings(_Section):
    """All settings, resolved: command line, environment, file and defaults merged."""

    server: ServerSettings = ServerSettings()
    model: ModelSettings = ModelSettings()
    models: ModelsSettings = ModelsSettings()
    aliases: Aliases = Field({}, description="Names that clients use, and the models that answer to them.")
    generation: GenerationSettings = GenerationSettings()
    engine: EngineSettings = EngineSettings()
    cache: CacheSettings = CacheSettings()
    gateway: GatewaySettings = GatewaySettings()
    vision: VisionSettings = VisionSettings()
    peers: Annotated[
        tuple[PeerSettings, ...], BeforeValidator(_listed_peers), AfterValidator(_unique_peers)
    ] = Field((), description="Other servers whose models can be asked for here as model@name.")
    routing: RoutingSettings = RoutingSettings()
    cluster: ClusterSettings = ClusterSettings()
    power: PowerSettings = PowerSettings()
    config: ConfigSettings = ConfigSettings()

    @field_validator("peers")
    @classmethod
    def _no_alias_that_names_a_peer(
        cls, peers: tuple[PeerSettings, ...], info: ValidationInfo
    ) -> tuple[PeerSettings, ...]:
        models = info.data.get("models")
        own = [alias for one in models.named.values() for alias in one.aliases or ()] if models else []
        for alias in (*info.data.get("aliases", ()), *own):
            if peer := peer_in(alias, [peer.name for peer in peers]):
                raise ValueError(
                    f"the alias {alias!r} would never answer: it names a model of the peer {peer}"
                )
        return peers

    @field_validator("cluster")
    @classmethod
    def _no_cluster_of_what_one_process_does(
        cls, cluster: ClusterSettings, info: ValidationInfo
    ) -> ClusterSettings:
        engine, model = info.data.get("engine"), info.data.get("model")
        if cluster.is_on and engine and engine.text != "mlx-lm":
            raise ValueError(f"cannot be used with engine.text = {engine.text!r}; it splits mlx-lm's models")
        if cluster.is_on and model and model.adapter_path:
            raise ValueError("cannot be used with model.adapter_path; an adapter is not split")
        return cluster

    @property
    def all_aliases(self) -> dict[str, str]:
        """The aliases of `[aliases]`, which win, and of each model's own table."""
        own = {alias: name for name, one in self.models.named.items() for alias in one.aliases or ()}
        return own | self.aliases
