"""Hosts by a stand-in for ssh, which runs a command on this machine: another one is at 127.0.0.2."""

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import psutil
import pytest
from tests.engine.cluster.test_launch import _RANK, launcher, pid_of, until_told
from tests.server import free_port, wait_until
from tests.tiny_model import make_tiny_model
from tests.waits import scaled

from local_ai.doctor.check import Outcome
from local_ai.doctor.cluster import check_cluster, check_split
from local_ai.engine.cluster.addresses import rank_addresses
from local_ai.engine.cluster.launch import Group
from local_ai.engine.cluster.plan import Hello, Rank, over_ssh, plan_ranks
from local_ai.engine.cluster.reach import reach_hosts
from local_ai.errors import ConfigError
from local_ai.models.catalog import Model, find_model, list_models
from local_ai.settings.paths import find_paths
from local_ai.settings.schema import ClusterSettings

# It answers `ssh -G HOST`, and else runs its last word, after what some shells print, unless a file "away" or
# "hangs" lies beside it.
_SSH = """#!/bin/sh
[ "$1" = -G ] && { echo "hostname 127.0.0.2"; exit; }
[ -e "$(dirname "$0")/away" ] && { echo "ssh: connect to host mini port 22: No route to host" >&2; exit 255; }
[ -e "$(dirname "$0")/hangs" ] && { echo $$ > "$(dirname "$0")/hangs"; exec sleep 1000; }
for word; do :; done
echo "Welcome to mini"
exec sh -c "$word"
"""


@pytest.fixture
def away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the stand-in first on the PATH; return the file that has the host away."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "ssh").write_text(_SSH)
    (folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder / "away"


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Model:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    make_tiny_model(tmp_path / "local-ai/models/tiny")
    found = find_model("tiny", list_models(find_paths({"HOME": "/", "XDG_DATA_HOME": str(tmp_path)}), None))
    assert found is not None
    return found


def settings(**more: object) -> ClusterSettings:
    return ClusterSettings.model_validate(
        {"hosts": ["here", "mini"], "port": free_port() % 60000 + 1024, **more}
    )


def test_hosts_that_are_alike_are_in_order_and_the_way_to_them_is_measured(away: Path, model: Model):
    found = check_cluster(settings(), model, Path(sys.executable))

    assert [(check.name, check.outcome) for check in found.checks if check.outcome is not Outcome.OK] == []
    assert [check.name for check in found.checks][2:] == [
        *("mini: ssh", "mini: versions", "mini: model", "mini: network"),
    ]
    assert found.links["mini"].bytes_per_s > 1_000_000
    assert 0 < found.links["mini"].latency_s < scaled(1)


@pytest.mark.parametrize(
    ("processes", "outcome", "told"),
    [
        (2, Outcome.OK, "slices of every layer of 2 ranks; it can be split over 2 ranks"),
        (
            3,
            Outcome.WRONG,
            "num_attention_heads = 4 and num_key_value_heads = 2 cannot be divided by 3 ranks",
        ),
    ],
)
def test_a_check_tells_over_how_many_ranks_a_model_can_be_split(
    model: Model, processes: int, outcome: Outcome, told: str
):
    wanted = ClusterSettings(processes=processes)

    found = check_split(wanted, model, Path(sys.executable), trust_remote_code=False)

    assert (found.outcome, found.why or found.finding) == (outcome, told)
    assert outcome is Outcome.OK or found.fix == "use another number of ranks: it can be split over 2 ranks"


def test_a_host_that_is_away_is_told_with_the_words_of_ssh(away: Path, model: Model):
    away.touch()

    (fault,) = [check for check in check_cluster(settings(), model, Path(sys.executable)).checks if check.why]

    assert (fault.name, fault.finding) == ("mini: ssh", "mini cannot take part")
    assert fault.why == "ssh: connect to host mini port 22: No route to host"
    assert fault.command == "ssh mini true"


def test_a_host_without_local_ai_is_told(away: Path, model: Model):
    wanted = settings(python="/nowhere/python")

    (fault,) = [check for check in check_cluster(wanted, model, Path(sys.executable)).checks if check.why]

    assert fault.name == "mini: ssh"
    assert "/nowhere/python" in fault.why
    assert fault.fix == "install local-ai there, and name its Python in cluster.python; this must work"


def test_a_port_that_is_taken_there_is_told(away: Path, model: Model):
    wanted = settings()
    with socket.create_server(("127.0.0.2", wanted.port + 1)):
        (fault,) = [check for check in check_cluster(wanted, model, Path(sys.executable)).checks if check.why]

    assert fault.name == "mini: port"
    assert fault.finding == "mini: the port cannot be used"


def test_another_host_is_started_by_ssh_and_has_the_address_that_ssh_knows(away: Path):
    wanted = settings()
    addresses = rank_addresses(wanted)

    hello = Hello(0, 2, "ring", tuple(addresses), 1.0, 5.0)
    first, second = plan_ranks(wanted, hello, python=Path("/p"), state_file=Path("/s"))

    assert addresses[1] == f"127.0.0.2:{wanted.port + 1}"
    assert first.command == ("/p", "-P", "-m", "local_ai.engine", "--state", "/s", "--cluster")
    assert second.command == over_ssh("mini", ("/p", "-P", "-m", "local_ai.engine.cluster.follow"))


def test_a_stop_does_not_wait_for_a_host_that_hangs(away: Path):
    hangs = away.with_name("hangs")
    hangs.touch()
    with launcher([], ("mini",)) as process:
        ssh = psutil.Process(int(wait_until(hangs.read_text)))
        process.terminate()

        assert process.wait(scaled(20)) == 0
        assert psutil.wait_procs([ssh], timeout=scaled(20))[1] == []


def test_without_ssh_a_check_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")

    (fault,) = check_cluster(settings(), None, Path(sys.executable)).checks

    assert (fault.finding, fault.why) == (
        "the hosts cannot be reached",
        "there is no program ssh on the PATH of this machine",
    )


def test_a_host_to_which_there_is_no_way_is_told():
    with pytest.raises(ConfigError) as refused:
        rank_addresses(settings(hosts=["here", "255.255.255.255"]))

    assert refused.value.why == "there is no way to 255.255.255.255: Permission denied"


def test_an_unknown_host_is_refused(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError) as refused:
        rank_addresses(settings(hosts=["here", "nowhere.invalid"]))

    assert refused.value.why == (
        "cluster.hosts names 'nowhere.invalid', and no address is known for 'nowhere.invalid'"
    )


@pytest.mark.parametrize(
    ("end", "code", "told"),
    [
        ("SIGUSR1", 128 + signal.SIGKILL, "ended with status 255"),  # as ssh, whose connection is lost
        ("SIGKILL", 128 + signal.SIGKILL, "ended by SIGKILL"),
        ("SIGSEGV", 128 + signal.SIGSEGV, "ended by SIGSEGV"),
    ],
)
def test_a_host_that_is_away_is_waited_for_and_the_end_of_its_rank_is_told_as_if_it_was_here(
    away: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, end: str, code: int, told: str
):
    def rank(number: int) -> Rank:
        words = (sys.executable, "-c", _RANK, "leads" if number == 0 else "follows", f"{tmp_path}/rank")
        hello = Hello(number, 3, "ring", ("127.0.0.1:1",) * 3, 0.1, scaled(5))
        return Rank(number, "mini" if number else "", over_ssh("mini", words) if number else words, hello)

    async def run() -> int:
        away.touch()
        reaching = asyncio.create_task(reach_hosts(["mini"]))
        async with asyncio.timeout(scaled(20)):
            while "is waited for" not in caplog.text:
                await asyncio.sleep(0.01)
        away.unlink()
        await reaching
        running = asyncio.create_task(Group([rank(number) for number in range(3)]).run())
        await until_told(tmp_path)
        os.kill(pid_of(tmp_path, 1), getattr(signal, end))
        return await asyncio.wait_for(running, scaled(20))

    assert asyncio.run(run()) == code
    assert (
        "rank 1 (mini) cannot be reached, and is waited for: ssh: connect to host mini port 22" in caplog.text
    )
    assert f"rank 1 (mini) {told}" in caplog.text
