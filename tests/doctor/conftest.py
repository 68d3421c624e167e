"""An installation in folders of the test's own, with nothing wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.server import free_port

from local_ai.doctor.check import Check, Outcome, Place
from local_ai.lifecycle.manager import ServerManager
from local_ai.settings.load import override
from local_ai.settings.paths import Paths, find_paths
from local_ai.settings.schema import LocalAISettings


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return find_paths({"HOME": str(tmp_path)})


@pytest.fixture
def place(paths: Paths) -> Place:
    settings = override(LocalAISettings(), {"server.port": free_port()})
    return Place(paths, settings, ServerManager(settings, paths=paths).report())


@pytest.fixture
def only_fault() -> Callable[[object], Check]:
    """Return the one check that is not as it should be."""

    def find(checks: object) -> Check:
        (fault,) = [check for check in checks if check.outcome is not Outcome.OK]  # type: ignore[attr-defined]
        return fault  # type: ignore[no-any-return]

    return find
