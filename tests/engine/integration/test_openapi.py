"""A running server keeps to docs/openapi.json, whatever schemathesis sends it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from schemathesis.checks import CHECKS, load_all_checks
from tests.engine.conftest import fill_with_tiny_models
from tests.engine.generated import Case, operations, read_document, send_cases, within_reach
from tests.server import Server
from tests.waits import scaled

# Not those about which bodies are refused: of what the document allows, some needs more (top_logprobs:
# logprobs), and null is as good as absent.
load_all_checks()
ANSWER_CHECKS = CHECKS.get_by_names(
    ["status_code_conformance", "content_type_conformance", "response_schema_conformance"]
)


@pytest.mark.integration
def test_every_answer_is_one_of_the_documents(make_server: Callable[..., Server]):
    """A documented 503 passes; a 500 is in no document, and a request that hangs has no status at all."""
    server = make_server(model=None, LOCAL_AI_MODEL__PATH="plain")
    server.paths.models_dir.mkdir(parents=True)
    fill_with_tiny_models(server.paths.models_dir)
    server.start()
    statuses: set[int] = set()

    def send(case: Case) -> None:
        response = case.call(base_url=server.url, timeout=scaled(30))
        case.validate_response(response, checks=ANSWER_CHECKS)
        assert '"internal_error"' not in response.text
        statuses.add(response.status_code)

    for operation in operations(within_reach(read_document())):
        send_cases(operation, send, count=25, number=1, valid=True)
        if "requestBody" in operation.definition.raw:
            send_cases(operation, send, count=15, number=2, valid=False)

    assert {200, 400, 404} <= statuses
