"""The requests that are forwarded to the engine: this list and nothing else."""

import difflib
from dataclasses import dataclass

from local_ai.serving.dialects import Dialect
from local_ai.supervision.omni import IMAGES, SPEECH, TRANSCRIPTION, Part


@dataclass(frozen=True)
class Route:
    """One forwarded path."""

    path: str  # as Starlette's routing writes it
    dialect: Dialect
    takes: str | None = "application/json"  # media type of the request's body; None where it has none
    names_text_model: bool = False  # the default model is meant where the request names none
    method: str = "POST"
    queues: bool = True  # generates, so it takes a place in the queue
    streams_by_default: bool = False  # where the request does not say
    part: Part | None = None  # of MLX Omni Server: answered by the program `omni`, not by the engine


ROUTES = (
    Route("/v1/chat/completions", Dialect.OPENAI, names_text_model=True),
    Route("/v1/completions", Dialect.OPENAI, names_text_model=True),
    Route("/v1/responses", Dialect.RESPONSES, names_text_model=True),
    Route("/v1/responses/input_tokens", Dialect.RESPONSES, names_text_model=True, queues=False),
    Route("/v1/responses/compact", Dialect.RESPONSES, queues=False),
    Route("/v1/responses/{id}", Dialect.RESPONSES, method="GET", takes=None, queues=False),
    Route("/v1/responses/{id}", Dialect.RESPONSES, method="DELETE", takes=None, queues=False),
    Route("/v1/responses/{id}/input_items", Dialect.RESPONSES, method="GET", takes=None, queues=False),
    Route("/v1/responses/{id}/cancel", Dialect.RESPONSES, takes=None, queues=False),
    Route("/v1/embeddings", Dialect.OPENAI),
    Route("/v1/rerank", Dialect.OPENAI),
    Route(SPEECH.path, Dialect.OPENAI, part=SPEECH),
    Route(TRANSCRIPTION.path, Dialect.OPENAI, takes="multipart/form-data", part=TRANSCRIPTION),
    Route(IMAGES.path, Dialect.OPENAI, part=IMAGES),
    Route("/anthropic/v1/messages", Dialect.ANTHROPIC, names_text_model=True),
    Route("/anthropic/v1/messages/count_tokens", Dialect.ANTHROPIC, names_text_model=True, queues=False),
    Route("/api/chat", Dialect.OLLAMA, streams_by_default=True),
    Route("/api/generate", Dialect.OLLAMA, streams_by_default=True),
    Route("/api/embed", Dialect.OLLAMA),
    Route("/api/embeddings", Dialect.OLLAMA),
    Route("/api/show", Dialect.OLLAMA, queues=False),
)

_MESSAGES = "/anthropic/v1/messages"
# Clients append /v1/messages or /messages to a base address, which may end in /v1 or /anthropic.
OTHER_ADDRESSES = {
    f"{start}{end}": f"{_MESSAGES}{end}"
    for start in ("/v1/messages", "/v1/v1/messages", "/anthropic/messages")
    for end in ("", "/count_tokens")
}
# Jina's base address ends in /v1, Cohere's client asks at /v2, some ask at the root.
OTHER_ADDRESSES |= dict.fromkeys(("/rerank", "/v2/rerank", "/v1/v1/rerank"), "/v1/rerank")

MODEL_LISTS = ("/v1/models", "/anthropic/v1/models", "/api/tags")
# Answered by the gateway itself.
OWN_OLLAMA = ("/api/tags", "/api/ps", "/api/pull", "/api/version")
# Ollama's own words, which are spelt like others and mean none of them.
_NOT_OFFERED = {"/api/copy", "/api/create", "/api/delete", "/api/push"}
_PATHS = tuple(
    dict.fromkeys(
        (*(route.path for route in ROUTES if "{" not in route.path), *MODEL_LISTS, *OWN_OLLAMA),
    )
)


def nearest_path(path: str) -> str | None:
    """Find the path that was meant: a client's base address often has a part too few or too many.

    "/chat/completions" means "/v1/chat/completions"; "/v1/messagess" means "/v1/messages", one of the other
    addresses.
    """
    asked = path.rstrip("/")
    if not asked or asked in _NOT_OFFERED:
        return None
    for known in _PATHS:
        if known.endswith(asked) or asked.endswith(known):
            return known
    known_paths = (*_PATHS, *OTHER_ADDRESSES)
    return next(iter(difflib.get_close_matches(asked, known_paths, n=1, cutoff=0.8)), None)
