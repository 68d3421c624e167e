"""The port and who holds it, and proxies between clients and the server."""

import urllib.request
from collections.abc import Iterator

from local_ai.doctor.check import Check, Place, ok, warning, wrong
from local_ai.errors import LocalAIError
from local_ai.lifecycle.ports import check_port
from local_ai.settings.exposure import check_exposure

_LOOPBACK = ("127.0.0.1", "localhost")


def network_checks(place: Place) -> Iterator[Check]:
    """Check the address, who can reach it, and proxies."""
    yield _check_port(place)
    yield _check_exposure(place)
    yield _check_proxies()


def _check_port(place: Place) -> Check:
    report, server = place.report, place.settings.server
    if report.is_running:
        return ok("port", f"{report.port} on {report.host}, held by this server")
    try:
        check_port(server.host, server.port, state_dir=place.paths.state_dir)
    except LocalAIError as exc:
        return wrong("port", exc)
    return ok("port", f"{server.port} on {server.host} is free")


def _check_exposure(place: Place) -> Check:
    server = place.settings.server
    try:
        opened = check_exposure(server)
    except LocalAIError as exc:
        return wrong("access", exc)
    if opened:
        return warning(
            "access",
            "open to the network without a key",
            why=opened,
            fix='set server.api_keys = ["a-long-secret"] in config.toml',
        )
    return ok("access", "with a key" if server.api_keys else "from this machine alone")


def _check_proxies() -> Check:
    proxies = urllib.request.getproxies()
    names = [kind for kind in ("http", "all") if proxies.get(kind)]
    if not names:
        return ok("proxies", "none for http")
    caught = [host for host in _LOOPBACK if not urllib.request.proxy_bypass(host)]
    if not caught:
        return ok("proxies", "this machine's own addresses are left out")
    return warning(
        "proxies",
        "clients ask a proxy for this machine's own addresses",
        why=f"{' and '.join(name.upper() + '_PROXY' for name in names)} is set, and NO_PROXY leaves out "
        f"neither {' nor '.join(caught)}"
        if len(caught) > 1
        else f"{names[0].upper()}_PROXY is set, and NO_PROXY does not leave out {caught[0]}",
        fix='export NO_PROXY="${NO_PROXY:+$NO_PROXY,}127.0.0.1,localhost,::1"',
    )
