"""Checks of the machines that are to compute one model together, before a start."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from local_ai.doctor.check import Check, ok, warning, wrong
from local_ai.engine.cluster.addresses import find_backend, find_devices, rank_addresses
from local_ai.engine.cluster.plan import over_ssh
from local_ai.engine.cluster.probe import HostFacts, Link, measure, own_facts
from local_ai.errors import ConfigError, LocalAIError, ServerError
from local_ai.models.catalog import Model
from local_ai.settings.schema import ClusterSettings
from local_ai.status.figures import size_in_words

_PROBE = "local_ai.engine.cluster.probe"
_SPLITS = "local_ai.engine.cluster.splits"
_SSH_S = 30.0
_SLOW_S = 0.002  # there and back; a model of 32 layers waits for it 64 times for each token


@dataclass(frozen=True)
class ClusterCheck:
    """Every check, and what was measured."""

    checks: tuple[Check, ...]
    links: dict[str, Link]  # by host


def check_cluster(settings: ClusterSettings, model: Model | None, python: Path) -> ClusterCheck:
    """Check each host: ssh, versions, model, ports, and the way to it; nothing is changed."""
    if not settings.is_on:
        error = ConfigError(
            "there is no cluster",
            why="the settings name neither cluster.hosts nor cluster.processes",
            fix='set cluster.hosts = ["this-machine", "another"] in config.toml, or cluster.processes = 2',
        )
        return ClusterCheck((wrong("cluster", error),), {})
    try:
        backend = find_backend(settings)
        if backend == "jaccl":
            find_devices(settings)
        if settings.hosts and shutil.which("ssh") is None:
            raise ConfigError(
                "the hosts cannot be reached",
                why="there is no program ssh on the PATH of this machine",
                fix="install OpenSSH's client",
            )
        addresses = rank_addresses(settings)
    except LocalAIError as exc:
        return ClusterCheck((wrong("cluster", exc),), {})
    here = own_facts(model.id if model else None, model.path if model else None)
    checks = [ok("cluster", f"{settings.size} ranks by {backend}"), _model_check(model)]
    links: dict[str, Link] = {}
    if not settings.hosts:
        return ClusterCheck(tuple(checks), links)
    try:
        listener = socket.create_server(_pair(addresses[0]))
    except OSError:
        return ClusterCheck((*checks, wrong("port", _taken("this machine", addresses[0]))), links)
    with listener:  # each host connects to it
        for number, host in enumerate(settings.hosts[1:], 1):
            remote = _Remote(host, addresses[number], settings.python or str(python))
            found, link = remote.check(here, model, addresses[0])
            checks += found
            links |= {host: link} if link else {}
    return ClusterCheck(tuple(checks), links)


def check_split(settings: ClusterSettings, model: Model, python: Path, *, trust_remote_code: bool) -> Check:
    """Check whether a model can be split over the ranks; no weights are read."""
    words = ["--model", model.id, "--folder", str(model.path), "--ranks", str(settings.size)]
    words += ["--backend", find_backend(settings), *(["--trust-remote-code"] if trust_remote_code else [])]
    done = subprocess.run([python, "-P", "-m", _SPLITS, *words], capture_output=True, text=True)
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"])[-1]
        return warning("split", "how the model can be split could not be found out", why=why)
    found = json.loads(done.stdout)
    can = f"it can be split over {_counts(found['sizes'])} ranks" if found["sizes"] else ""
    if found["way"] is not None:
        how = "slices of every layer" if found["way"] == "tensor" else "some layers for each"
        return ok("split", f"{how} of {settings.size} ranks; {can}")
    error = ConfigError(
        f"{model.id} cannot be split over {settings.size} ranks",
        why=found["why"],
        fix=f"use another number of ranks: {can}" if can else "use another model, or remove [cluster]",
    )
    return wrong("split", error)


def _counts(sizes: Sequence[int]) -> str:
    """Write numbers, rising: "2, 4", "2 to 24"."""
    first, last = sizes[0], sizes[-1]
    if len(sizes) > 2 and last - first == len(sizes) - 1:
        return f"{first} to {last}"
    return ", ".join(map(str, sizes))


def _model_check(model: Model | None) -> Check:
    if model is None:
        return warning("model", "no default model", why="none was found", command="local-ai models pull NAME")
    return ok("model", f"{model.id}, {size_in_words(model.size_bytes)}")


def _pair(address: str) -> tuple[str, int]:
    host, port = address.rsplit(":", 1)
    return host, int(port)


def _taken(host: str, address: str) -> LocalAIError:
    return ConfigError(
        f"{host}: the port cannot be used",
        why=f"{address} cannot be listened on: it is taken, or not an address of that machine",
        fix="stop what uses it (a running server does, too), or set cluster.port to another one",
    )


@dataclass(frozen=True)
class _Remote:
    host: str
    address: str
    python: str

    def check(self, here: HostFacts, model: Model | None, first: str) -> tuple[list[Check], Link | None]:
        """Ask the host about itself, and measure the way to it."""
        words = [self.python, "-P", "-m", _PROBE, "--listen", self.address, "--first", first]
        if model is not None:
            words += ["--model", model.id, "--folder", str(model.path)]
        with subprocess.Popen(
            over_ssh(self.host, words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                # After what its shell prints as it starts.
                line = next((line for line in process.stdout if line.startswith("{")), "")
                if not line:
                    return [wrong(self._name("ssh"), self._unreached(process))], None
                facts = HostFacts(**json.loads(line))
                checks = [ok(self._name("ssh"), "reached"), *self._compare(here, facts, model)]
                link = None
                if facts.listens:
                    link_check, link = self._link()
                    checks.append(link_check)
                return checks, link
            finally:
                process.kill()

    def _name(self, name: str) -> str:
        return f"{self.host}: {name}"

    def _unreached(self, process: subprocess.Popen[str]) -> LocalAIError:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_SSH_S)
        assert process.stderr is not None
        said = process.stderr.read().strip().splitlines()
        why = said[-1] if said else f"ssh ended with status {process.returncode}"
        if process.returncode == 255:
            fix, command = "make this work without a password (ssh-copy-id)", f"ssh {self.host} true"
        else:
            fix = "install local-ai there, and name its Python in cluster.python; this must work"
            command = f"ssh {self.host} {self.python} -c 'import local_ai'"
        return ServerError(f"{self.host} cannot take part", why=why, fix=fix, command=command)

    def _compare(self, here: HostFacts, there: HostFacts, model: Model | None) -> Iterator[Check]:
        differing = {
            name: (own, there.versions.get(name))
            for name, own in here.versions.items()
            if own != there.versions.get(name) and name != "Python"
        }
        if differing:
            why = ", ".join(
                f"{name} is {other or 'missing'} there, {own} here"
                for name, (own, other) in differing.items()
            )
            fix = "install the same local-ai on both"
            yield wrong(
                self._name("versions"), ConfigError(f"{self.host} has other versions", why=why, fix=fix)
            )
        else:
            told = ", ".join(f"{name} {text}" for name, text in there.versions.items())
            yield ok(self._name("versions"), told)
        if model is not None and there.digest != here.digest:
            why = "its files differ" if there.digest else "it is not there"
            yield wrong(
                self._name("model"),
                ConfigError(
                    f"{self.host} has another {model.id}", why=why, fix=f"copy the folder {model.path} there"
                ),
            )
        elif model is not None:
            yield ok(self._name("model"), f"the same, {there.digest}")
        if not there.listens:
            yield wrong(self._name("port"), _taken(self.host, self.address))
        if not there.reaches_first:
            yield wrong(
                self._name("way back"),
                ServerError(
                    f"{self.host} does not reach this machine",
                    why="a connection to the first port of cluster.port is refused or lost",
                    fix="let the firewall of this machine take connections from there",
                ),
            )

    def _link(self) -> tuple[Check, Link | None]:
        try:
            link = measure(self.address)
        except OSError as exc:
            error = ServerError(
                f"{self.host} cannot be reached at {self.address}",
                why=exc.strerror or str(exc),
                fix="let its firewall take connections from this machine, or set cluster.port",
            )
            return wrong(self._name("network"), error), None
        told = f"{link.latency_s * 1000:.2f} ms there and back, {size_in_words(int(link.bytes_per_s))}/s"
        if link.latency_s > _SLOW_S:
            return warning(
                self._name("network"), told,
                why="a model's layers wait for it twice each, for every token",
                fix="connect the machines by cable, or by Thunderbolt",
            ), link  # fmt: skip
        return ok(self._name("network"), told), link
