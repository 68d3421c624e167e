"""The FastAPI application of the gateway's own endpoints; `/openapi.json` and `/docs` describe all."""

import json
import os
from collections.abc import Mapping
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse

import local_ai
from local_ai.gateway.context import GatewayContext
from local_ai.gateway.endpoints.downloads import downloads_router
from local_ai.gateway.endpoints.health import health_router
from local_ai.gateway.endpoints.logs import log_router
from local_ai.gateway.endpoints.model_actions import model_actions_router
from local_ai.gateway.endpoints.models import models_router
from local_ai.gateway.endpoints.ollama import ollama_router
from local_ai.gateway.endpoints.ollama_pull import ollama_pull_router
from local_ai.gateway.endpoints.settings import settings_router
from local_ai.gateway.forwarding.routes import ROUTES
from local_ai.gateway.web.page import render_document
from local_ai.serving.dialects import Dialect, dialect_of

Json = dict[str, Any]


def make_own_app(context: GatewayContext, handlers: Mapping[Any, Any]) -> FastAPI:
    """Put it together."""
    app = FastAPI(
        title="local-ai",
        version=context.state.version,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        exception_handlers=dict(handlers),
        redirect_slashes=False,
    )
    for make in (
        models_router,
        model_actions_router,
        downloads_router,
        ollama_router,
        ollama_pull_router,
        health_router,
        log_router,
        settings_router,
    ):
        app.include_router(make(context))
    document = Document(app)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> JSONResponse:
        """Return the description of all endpoints, those of the engine too."""
        return JSONResponse(document.whole)

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        """Return the same as a page."""
        page = render_document(
            request,
            "docs.html",
            operations=document.operations,
            version=app.version,
        )
        return HTMLResponse(page, headers={"Cache-Control": "no-cache", "Vary": "Accept-Language, Cookie"})

    return app


class Document:
    """The OpenAPI document: our own endpoints as the code has them, the engine's as they are packaged."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    @cached_property
    def whole(self) -> Json:
        """The OpenAPI document."""
        own: Json = self._app.openapi()
        whole: Json = json.loads(_file().read_text())
        for path, item in own["paths"].items():
            for method, operation in item.items():
                _complete(operation, path, method)
        forwarded = {route.path for route in ROUTES}
        paths = {path: item for path, item in whole["paths"].items() if path in forwarded}
        schemas = whole["components"]["schemas"] | own["components"]["schemas"]
        whole["info"]["version"] = self._app.version
        return whole | {"paths": paths | own["paths"], "components": {"schemas": schemas}}

    @cached_property
    def operations(self) -> list[Json]:
        """One item an operation, for the page: method, path, summary, fields of the body, answers."""
        return [
            {
                "method": method.upper(),
                "path": path,
                "summary": operation["summary"],
                "fields": self._fields(operation),
                "answers": operation.get("responses", {}),
            }
            for path, item in self.whole["paths"].items()
            for method, operation in item.items()
        ]

    def _fields(self, operation: Json) -> list[Json]:
        places = [
            {"name": each["name"], "kind": _kind(each["schema"]), "is_required": each.get("required", False)}
            for each in operation.get("parameters", [])
        ]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        schema = self._resolved(body.get("schema", {}))
        required = schema.get("required", [])
        return places + [
            {"name": name, "kind": _kind(field), "is_required": name in required}
            for name, field in schema.get("properties", {}).items()
        ]

    def _resolved(self, schema: Json) -> Json:
        reference = schema.get("$ref", "")
        found: Json = self.whole["components"]["schemas"].get(reference.rpartition("/")[2], schema)
        return found


def _complete(operation: Json, path: str, method: str) -> None:
    """Add to FastAPI's description what it does not know: a summary, and the form of errors."""
    operation["summary"] = operation.pop("description")
    del operation["operationId"]
    answers = operation["responses"]
    if _INVALID in json.dumps(answers.get("422")):  # no text is refused by FastAPI itself
        del answers["422"]
    for status, answer in answers.items():
        if int(status) >= HTTPStatus.BAD_REQUEST and "content" not in answer:
            dialect = dialect_of(path)
            if dialect is None and (method == "get" or int(status) in _OF_ACCESS):
                answer["content"] = {"text/plain": {"schema": {"type": "string"}}}
            else:
                schema = f"#/components/schemas/{_ERRORS[dialect or Dialect.OPENAI]}"
                answer["content"] = {"application/json": {"schema": {"$ref": schema}}}


_INVALID = "HTTPValidationError"
_OF_ACCESS = (401, 403)
_ERRORS = {Dialect.OPENAI: "OpenAIError", Dialect.ANTHROPIC: "AnthropicError", Dialect.OLLAMA: "OllamaError"}


def _kind(schema: Json) -> str:
    """Say in a few words which values a field takes."""
    if reference := schema.get("$ref"):
        return str(reference).rpartition("/")[2]
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if inner := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(_kind(each) for each in inner))
    kinds = schema.get("type", "any")
    words = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    bounds = [f"{word} {schema[key]}" for key, word in _BOUNDS.items() if key in schema]
    return ", ".join([words, *bounds])


_BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most"}


def _file() -> Path:
    """Return the packaged description: inside the installed package, or in the docs of a checkout."""
    package = Path(local_ai.__file__).parent
    installed = package / "openapi.json"
    return installed if os.path.exists(installed) else package.parents[1] / "docs" / "openapi.json"
