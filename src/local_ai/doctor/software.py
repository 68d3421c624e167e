"""Python and the packages, compared with what the installed local-ai says of itself: its metadata."""

import platform
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from local_ai.doctor.check import Check, ok, warning, wrong
from local_ai.errors import ServerError
from local_ai.lifecycle.preflight import check_packages

_TRIED = "Programming Language :: Python :: "
_FIX = "uv sync (in the checkout), or reinstall local-ai"


def software_checks(text: str, package: str = "local-ai") -> Iterator[Check]:
    """Check Python, what `engine.text` imports, and every package that local-ai requires."""
    own = distribution(package)
    yield _check_python(own)
    yield _check_packages(own, text)


def _check_python(own: Distribution) -> Check:
    current = platform.python_version()
    allowed = "".join(own.metadata.get_all("Requires-Python", []))
    if not SpecifierSet(allowed).contains(current, prereleases=True):
        return wrong(
            "python",
            ServerError(
                f"Python {current} is not supported",
                why=f"{own.name} {own.version} needs {allowed}, and {sys.executable} is {current}",
                fix="reinstall local-ai with a newer Python",
            ),
        )
    tried = [
        line.removeprefix(_TRIED)
        for line in own.metadata.get_all("Classifier", [])
        if line.startswith(_TRIED) and line[-1].isdecimal() and "." in line
    ]
    if tried and ".".join(current.split(".")[:2]) not in tried:
        return warning(
            "python",
            f"Python {current} was not tested",
            why=f"{own.name} {own.version} is tested with {', '.join(tried)}",
            fix=f"where something fails, reinstall local-ai with Python {tried[-1]}",
        )
    return ok("python", f"{current}, {sys.executable}")


def _check_packages(own: Distribution, text: str) -> Check:
    try:
        check_packages(text)
    except ServerError as exc:
        return wrong("packages", exc)
    needed = [each for each in map(Requirement, own.requires or ()) if _applies(each)]
    if faults := list(_faults(needed)):
        return wrong(
            "packages",
            ServerError(
                f"{len(faults)} of {len(needed)} packages are not as tested",
                why="; ".join(faults),
                fix=_FIX,
            ),
        )
    return ok("packages", f"{own.name} {own.version}, and {len(needed)} that it needs in tested versions")


def _applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def _faults(needed: Iterable[Requirement]) -> Iterator[str]:
    for requirement in needed:
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield f"{requirement.name} is missing"
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            yield f"{requirement.name} is {found}, tested {requirement.specifier}"
