"""The gateway keeps to docs/openapi.json, whatever schemathesis sends it: no 500, no traceback."""

from __future__ import annotations

import logging
from collections import Counter

import pytest
from schemathesis.checks import CHECKS, load_all_checks
from tests.engine.generated import Case, Operation, operations, read_document, send_cases
from tests.gateway.fakes import FakeEngine, Gateway
from tests.waits import scaled

load_all_checks()
_ANSWERS = CHECKS.get_by_names(
    ["status_code_conformance", "content_type_conformance", "response_schema_conformance"]
)
_ALL = list(operations(read_document()))


def is_own(operation: Operation) -> bool:
    """Whether the gateway answers by itself; the fake engine behind it keeps to no document."""
    return operation.method == "get" and not operation.path.startswith("/v1/responses")


@pytest.mark.parametrize("operation", _ALL, ids=[f"{each.method} {each.path}" for each in _ALL])
def test_anything_allowed_and_not_allowed_is_answered(
    gateway: Gateway, engine: FakeEngine, caplog: pytest.LogCaptureFixture, operation: Operation
) -> None:
    statuses: Counter[int] = Counter()

    def send(case: Case) -> None:
        answer = case.call(base_url=gateway.url, timeout=scaled(30))
        statuses[answer.status_code] += 1
        assert answer.status_code != 500
        assert answer.text.count("Traceback") <= str(case.body).count("Traceback")  # which may come back
        if is_own(operation):
            case.validate_response(answer, checks=_ANSWERS)

    with caplog.at_level(logging.INFO):
        send_cases(operation, send, count=8, number=1, valid=True)
        if operation.method == "post" and operation.body:
            send_cases(operation, send, count=8, number=2, valid=False)

    assert statuses
    assert [record for record in caplog.records if record.exc_info] == []
