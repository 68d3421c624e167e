"""A little of the fuzzing that `python -m tests.engine.fuzzing` does for long."""

import random

import pytest
from tests.engine.fuzzing import fuzz
from tests.engine.running import RunningEngine


@pytest.mark.integration
def test_odd_requests_are_answered_and_leave_a_working_engine(engine: RunningEngine):
    findings = fuzz(engine, random.Random(1), count=400, seconds=None)

    assert findings.wrong == []
    assert engine.chat(model="plain")["usage"]["completion_tokens"] == 8
