"""A gateway and a fake engine for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from tests.gateway.fakes import FakeEngine, Gateway, make_patient_state, run_engine, run_gateway
from tests.waits import NO_TLS, scaled

from local_ai.settings.state import State
from local_ai.supervision.omni import PART_NAMES


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> State:
    return replace(make_patient_state(tmp_path_factory.mktemp("shared"), wait_s=5), omni_parts=PART_NAMES)


@pytest.fixture(scope="module")
def _engine(state: State) -> Iterator[FakeEngine]:
    with (
        run_engine(FakeEngine(), state.paths.engine_socket) as engine,
        run_engine(engine, state.paths.omni_socket),
    ):
        yield engine


@pytest.fixture
def engine(_engine: FakeEngine) -> Iterator[FakeEngine]:
    """An engine that is ready, with nothing asked of it yet."""
    _engine.reset()
    yield _engine
    _engine.release.set()


@pytest.fixture(scope="module")
def gateway(state: State) -> Iterator[Gateway]:
    """A gateway whose pulls ask no hub."""
    with pytest.MonkeyPatch.context() as patch, run_gateway(state) as gateway:
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield gateway


@pytest.fixture
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=scaled(20), verify=NO_TLS) as client:
        yield client
