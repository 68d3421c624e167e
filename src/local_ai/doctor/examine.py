"""Run every check."""

from collections.abc import Callable

from local_ai.doctor.check import Check, Outcome, Place
from local_ai.doctor.folders import folder_checks
from local_ai.doctor.hardware import hardware_checks
from local_ai.doctor.models import model_checks
from local_ai.doctor.network import network_checks
from local_ai.doctor.software import software_checks
from local_ai.doctor.system import environment_checks, settings_check
from local_ai.errors import LocalAIError
from local_ai.settings.load import Loaded, load
from local_ai.settings.paths import Paths
from local_ai.settings.schema import LocalAISettings
from local_ai.status.report import Report
from local_ai.system_service.manage import ServiceReport


def examine(
    paths: Paths, look: Callable[[], Report], service: Callable[[], ServiceReport]
) -> tuple[Check, ...]:
    """Run every check, in the order in which a person would fix them; nothing is changed."""
    loaded = _load(paths)
    settings = loaded.settings if isinstance(loaded, Loaded) else LocalAISettings()
    place = Place(paths.with_model_folders(settings.models.paths), settings, look())
    return (
        *software_checks(settings.engine.text),
        *hardware_checks(settings.engine),
        *settings_check(loaded, place),
        *folder_checks(place),
        *network_checks(place),
        *model_checks(place),
        *environment_checks(place, service),
    )


def exit_code(checks: tuple[Check, ...]) -> int:
    """Return the one code of all that is wrong, 1 where they differ, 0 where nothing is."""
    codes = {check.exit_code for check in checks if check.outcome is Outcome.WRONG}
    return codes.pop() if len(codes) == 1 else min(len(codes), 1)


def _load(paths: Paths) -> Loaded | LocalAIError:
    try:
        return load(paths=paths)
    except LocalAIError as exc:
        return exc
