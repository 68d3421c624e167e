"""One model over two hosts that ssh connects: checked, started, healed after a loss, and stopped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.server import Server, end, free_port
from tests.two_hosts import NAME, TwoHosts, why_not
from tests.waits import NO_TLS, scaled

from local_ai.doctor.check import Outcome
from local_ai.doctor.cluster import check_cluster
from local_ai.models.catalog import find_model, list_models
from local_ai.settings.schema import ClusterSettings

pytestmark = pytest.mark.integration

_QUESTION = {
    "model": "tiny",
    "messages": [{"role": "user", "content": "one two three four"}],
    "max_tokens": 24,
    "temperature": 0,
}


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[TwoHosts]:
    """Two hosts; the second one has the tiny model, at another path than the first one."""
    if reason := why_not():
        pytest.skip(f"no two hosts here: {reason}")
    hosts = TwoHosts(tmp_path_factory.mktemp("h"))
    shutil.copytree(tiny_model, hosts.homes[1] / "data/local-ai/models/tiny")
    yield hosts
    hosts.end()


@pytest.fixture(scope="module")
def cluster(hosts: TwoHosts, tiny_model: Path) -> Iterator[Server]:
    """The installation of the first host, which is not started yet."""
    environment = {
        "LOCAL_AI_MODEL__PATH": "tiny",
        "SSH_AUTH_SOCK": hosts.agent,
        "TMPDIR": str(hosts.homes[0] / "tmp"),
    }
    server = Server(hosts.homes[0], free_port(), environment)
    shutil.copytree(tiny_model, server.paths.models_dir / "tiny")
    server.paths.config_file.parent.mkdir(parents=True)
    server.paths.config_file.write_text(f'[cluster]\nhosts = ["studio", "{NAME}"]\nsilence_s = {scaled(2)}\n')
    yield server
    hosts.first.do(end, server)


def answer(server: Server) -> str:
    with httpx.Client(base_url=server.url, timeout=scaled(60), verify=NO_TLS) as http:
        response = http.post("/v1/chat/completions", json=_QUESTION)
    assert response.status_code == 200, response.text
    text: str = response.json()["choices"][0]["message"]["content"]
    return text


def ranks(server: Server) -> list[dict[str, Any]]:
    with httpx.Client(base_url=server.url, timeout=scaled(60), verify=NO_TLS) as http:
        found: list[dict[str, Any]] = http.get("/status.json").json()["engine"]["ranks"]
    return found


def test_a_check_tells_of_each_row_that_it_is_in_order_or_what_to_do(
    hosts: TwoHosts, cluster: Server, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SSH_AUTH_SOCK", hosts.agent)
    model = find_model("tiny", list_models(cluster.paths, None))
    settings = ClusterSettings(hosts=("studio", NAME))
    weights = hosts.homes[1] / "data/local-ai/models/tiny/model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    faulty = hosts.first.do(check_cluster, settings, model, Path(sys.executable))
    weights.write_bytes(whole)

    done = hosts.first.do(cluster.run, "cluster.check", "--json")

    told = json.loads(done.stdout)
    assert (done.returncode, told["ok"]) == (0, True), told
    found = {check["name"]: check["finding"] for check in told["checks"]}
    assert list(found) == [
        *("cluster", "model"),
        *(f"{NAME}: {row}" for row in ("ssh", "versions", "model", "network")),
        "split",
    ]
    (link,) = told["links"]
    assert link["host"] == NAME
    assert 0 < link["latency_s"] < scaled(1)
    assert link["bytes_per_s"] > 1_000_000
    (fault,) = [check for check in faulty.checks if check.outcome is not Outcome.OK]
    assert (fault.name, fault.finding) == (f"{NAME}: model", f"{NAME} has another tiny")
    assert fault.why == "its files differ"
    assert fault.fix == f"copy the folder {cluster.paths.models_dir / 'tiny'} there"


def test_two_hosts_answer_as_one_also_after_a_rank_was_killed_and_a_stop_leaves_none(
    hosts: TwoHosts, cluster: Server, running: Server
):
    before = [{process.pid for process in host.processes()} for host in (hosts.first, hosts.second)]
    hosts.first.do(cluster.start)

    first = hosts.first.do(answer, cluster)
    there = hosts.first.do(ranks, cluster)[1]
    os.kill(there["pid"], signal.SIGKILL)
    second = hosts.first.do(answer, cluster)
    hosts.first.do(cluster.stop)

    assert [first, second] == [answer(running)] * 2
    assert there["host"] == NAME
    assert [{process.pid for process in host.processes()} for host in (hosts.first, hosts.second)] == before
    assert [file for home in hosts.homes for file in (home / "tmp").iterdir()] == []
