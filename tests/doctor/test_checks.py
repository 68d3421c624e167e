"""Each check finds what is wrong, provoked for real, and finds nothing where nothing is."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.other_user import as_nobody, closed, open_folder

from local_ai.doctor.check import Check, Outcome, Place
from local_ai.doctor.examine import exit_code
from local_ai.doctor.folders import folder_checks
from local_ai.doctor.hardware import hardware_checks
from local_ai.doctor.models import model_checks
from local_ai.doctor.network import network_checks
from local_ai.doctor.software import software_checks
from local_ai.doctor.system import check_clock, environment_checks, settings_check
from local_ai.errors import ConfigError, LocalAIError
from local_ai.models.memory import total_bytes
from local_ai.settings.edit import write_example
from local_ai.settings.load import load, override
from local_ai.settings.paths import Paths, find_paths
from local_ai.settings.schema import EngineSettings
from local_ai.status.verdict import Health, Verdict
from local_ai.system_service.definition import define
from local_ai.system_service.manage import ServiceReport, inspect
from local_ai.system_service.systemd import SystemdService

OnlyFault = Callable[[object], Check]


def no_service() -> ServiceReport:
    return inspect(SystemdService(Path("/nowhere")), None)


def package(folder: Path, *lines: str) -> str:
    """Install a package's metadata."""
    info = folder / "sample-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "\n".join(("Metadata-Version: 2.1", "Name: sample", "Version: 1.0", *lines))
    )
    return "sample"


def test_nothing_is_wrong_in_a_fresh_installation(place: Place):
    groups = (
        software_checks("mlx-lm"),
        folder_checks(place),
        network_checks(place),
        model_checks(place),
        environment_checks(place, no_service),
    )
    assert [check for group in groups for check in group if check.outcome is Outcome.WRONG] == []


def test_python_that_is_too_old_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, only_fault: OnlyFault
):
    monkeypatch.syspath_prepend(tmp_path)
    fault = only_fault(software_checks("mlx-lm", package(tmp_path, "Requires-Python: >=4.2")))

    assert (fault.name, fault.outcome) == ("python", Outcome.WRONG)
    assert "sample 1.0 needs >=4.2" in fault.why


def test_python_that_was_not_tested_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, only_fault: OnlyFault
):
    monkeypatch.syspath_prepend(tmp_path)
    name = package(tmp_path, "Requires-Python: >=3", "Classifier: Programming Language :: Python :: 3.2")

    assert only_fault(software_checks("mlx-lm", name)).why == "sample 1.0 is tested with 3.2"


def test_packages_that_are_missing_or_of_other_versions_are_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, only_fault: OnlyFault
):
    monkeypatch.syspath_prepend(tmp_path)
    needed = ("psutil>=999", "no-such-package>=1", "also-none>=1; extra == 'more'", "pydantic>=2")
    name = package(tmp_path, "Requires-Python: >=3", *(f"Requires-Dist: {each}" for each in needed))

    fault = only_fault(software_checks("mlx-lm", name))

    assert fault.finding == "2 of 3 packages are not as tested"
    assert "tested >=999; no-such-package is missing" in fault.why


def test_blas_that_is_none_is_wrong(tmp_path: Path):
    file = tmp_path / "blas.so"
    file.write_text("no library")

    fault = next(hardware_checks(EngineSettings(blas=str(file))))

    assert (fault.name, fault.outcome, fault.exit_code) == ("blas", Outcome.WRONG, 2)
    assert str(file) in fault.why


def test_mlx_that_cannot_be_imported_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, only_fault: OnlyFault
):
    (tmp_path / "mlx").mkdir()
    (tmp_path / "mlx/core.py").write_text("raise ImportError('libcuda.so.1: no such file')")
    (tmp_path / "mlx/__init__.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    fault = only_fault(hardware_checks(EngineSettings(blas="none")))

    assert (fault.name, fault.why) == ("gpu", "ImportError: libcuda.so.1: no such file")


def test_gpu_that_the_settings_ask_for_and_mlx_does_not_find_is_wrong(only_fault: OnlyFault):
    fault = only_fault(hardware_checks(EngineSettings(blas="none", device="gpu")))

    assert (fault.name, fault.why, fault.exit_code) == ("gpu", 'engine.device is "gpu"', 2)


def test_card_that_mlx_does_not_use_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, only_fault: OnlyFault
):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert only_fault(hardware_checks(EngineSettings(blas="none"))).finding == "an NVIDIA card is not used"


def test_taken_port_is_wrong_with_its_holder(place: Place, only_fault: OnlyFault):
    with socket.create_server(("127.0.0.1", place.settings.server.port)):
        fault = only_fault(network_checks(place))

    assert (fault.name, fault.outcome, fault.exit_code) == ("port", Outcome.WRONG, 5)
    assert f"pid {os.getpid()}" in fault.why
    assert exit_code((fault,)) == 5


def test_server_open_to_others_without_a_key_is_wrong(place: Place, only_fault: OnlyFault):
    opened = override(place.settings, {"server.host": "0.0.0.0"})

    assert only_fault(network_checks(replace(place, settings=opened))).name == "access"


def test_proxy_for_loopback_is_named(place: Place, monkeypatch: pytest.MonkeyPatch, only_fault: OnlyFault):
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "localhost")

    assert only_fault(network_checks(place)).why == (
        "HTTP_PROXY is set, and NO_PROXY does not leave out 127.0.0.1"
    )

    monkeypatch.setenv("no_proxy", "localhost,127.0.0.1")
    assert all(check.outcome is Outcome.OK for check in network_checks(place))


def test_state_folder_that_others_may_read_is_mended(place: Place, only_fault: OnlyFault):
    place.paths.state_dir.mkdir(parents=True)
    place.paths.state_dir.chmod(0o755)

    fault = only_fault(folder_checks(place))
    assert (fault.outcome, fault.command) == (Outcome.WARNING, f"chmod 700 {place.paths.state_dir}")

    assert fault.repair
    fault.repair.run()
    assert all(check.outcome is Outcome.OK for check in folder_checks(place))


def test_link_in_place_of_the_state_folder_is_wrong(place: Place, tmp_path: Path, only_fault: OnlyFault):
    place.paths.state_dir.parent.mkdir(parents=True)
    place.paths.state_dir.symlink_to(tmp_path)

    assert "is a symbolic link" in only_fault(folder_checks(place)).why


def test_folder_that_cannot_be_written_is_wrong(place: Place):
    with open_folder() as folder:
        closed(folder / ".local")
        there = replace(place, paths=find_paths({"HOME": str(folder)}))
        with as_nobody():
            faults = [check for check in folder_checks(there) if check.outcome is Outcome.WRONG]

    assert any(fault.finding == f"{there.paths.state_dir} cannot be used" for fault in faults)


def test_file_that_others_may_read_is_well_where_keys_are_only_in_a_comment(place: Place):
    write_example(place.paths.config_file)
    place.paths.config_file.chmod(0o644)

    assert {check.outcome for check in folder_checks(place)} == {Outcome.OK}


def test_file_with_keys_that_others_may_read_is_mended(place: Place, only_fault: OnlyFault):
    file = place.paths.config_file
    file.parent.mkdir(parents=True)
    file.write_text('[server]\napi_keys = ["k"]\n')
    file.chmod(0o644)

    fault = only_fault(folder_checks(place))

    assert fault.repair
    fault.repair.run()
    assert file.stat().st_mode & 0o777 == 0o600


def test_disk_that_is_full_is_wrong(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    disk = tmp_path / "disk"
    disk.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=False)
    if made.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        full = replace(place, paths=place.paths.in_state_dir(disk / "local-ai"))
        faults = [check for check in folder_checks(full) if check.outcome is Outcome.WRONG]
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)

    assert [fault.name for fault in faults] == ["disk of the state"]
    assert faults[0].why == "the server needs 20 MB"


def test_leftovers_of_a_dead_server_are_mended(place: Place, only_fault: OnlyFault):
    paths = place.paths
    paths.state_dir.mkdir(parents=True, mode=0o700)
    paths.engine_socket.touch()
    orphan = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", str(paths.state_file)])
    try:
        fault = only_fault(folder_checks(place))
        assert (fault.name, fault.why) == (
            "leftovers",
            f"processes without a supervisord: {orphan.pid}",
        )

        assert fault.repair
        fault.repair.run()
        assert not psutil.pid_exists(orphan.pid)
    finally:
        orphan.kill()
    assert not paths.engine_socket.exists()
    assert all(check.outcome is Outcome.OK for check in folder_checks(place))


def test_model_that_is_not_there_is_wrong(place: Place, only_fault: OnlyFault):
    named = override(place.settings, {"model.path": "org/none"})

    fault = only_fault(model_checks(replace(place, settings=named)))

    assert (fault.name, fault.exit_code) == ("default model", 2)


def test_model_cut_short_is_named(place: Place, tiny_model: Path, only_fault: OnlyFault):
    folder = shutil.copytree(tiny_model, place.paths.models_dir / "tiny")
    weights = next(folder.glob("*.safetensors"))
    os.truncate(weights, weights.stat().st_size - 5)

    fault = only_fault(model_checks(place))

    assert fault.finding == "tiny is damaged"
    assert f"has {weights.stat().st_size} bytes, and its header says" in fault.why


def test_model_that_is_only_partly_here_is_named(place: Place, tiny_model: Path, only_fault: OnlyFault):
    folder = shutil.copytree(tiny_model, place.paths.models_dir / "tiny")
    next(folder.glob("*.safetensors")).rename(folder / "model-00001-of-00002.safetensors")
    index = dict.fromkeys(("model.norm.weight", "model.head.weight"), "model-00002-of-00002.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))

    assert only_fault(model_checks(place)).why.startswith("1 of 2 weight files are missing")


def test_model_larger_than_the_memory_is_named(place: Place, tiny_model: Path, only_fault: OnlyFault):
    folder = shutil.copytree(tiny_model, place.paths.models_dir / "tiny")
    weights = next(folder.glob("*.safetensors"))
    end = 2 * total_bytes()
    header = b'{"w": {"dtype": "U8", "shape": [%d], "data_offsets": [0, %d]}}' % (end, end)
    weights.write_bytes(len(header).to_bytes(8, "little") + header)
    try:
        os.truncate(weights, 8 + len(header) + end)
    except OSError:
        pytest.skip("this file system holds no sparse file of that size")

    assert only_fault(model_checks(place)).finding == "tiny does not fit"


def test_newer_version_that_is_not_whole_is_named(place: Place, tiny_model: Path, only_fault: OnlyFault):
    repository = place.paths.hub_cache / "models--org--tiny"
    shutil.copytree(tiny_model, repository / "snapshots/old")
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("new")

    fault = only_fault(model_checks(place))

    assert fault.finding == "a newer version of org/tiny is only partly here"
    assert fault.command == "local-ai models pull org/tiny"


def test_wrong_settings_are_wrong_and_those_that_are_right_say_where_they_come_from(
    place: Place, paths: Paths, only_fault: OnlyFault
):
    file = paths.config_file
    file.parent.mkdir(parents=True)
    file.write_text("[server]\nprot = 1\n")
    with pytest.raises(ConfigError) as refused:
        load(paths=paths, environ={})
    fault = only_fault(settings_check(refused.value, place))
    assert fault.exit_code == 2
    assert "prot" in fault.why

    file.write_text("[server]\nport = 1234\n")
    loaded = load(paths=paths, environ={"LOCAL_AI_SERVER__HOST": "::1", "LOCAL_AI_PORT": "1"})
    named, right = settings_check(
        loaded, replace(place, paths=paths.with_model_folders(("~/.lmstudio/models",)))
    )
    assert named.finding.startswith("LOCAL_AI_PORT is not a setting and is ignored")
    assert right.finding == f"valid: 1 from {file}, 1 from LOCAL_AI_SERVER__HOST"


def test_clock_behind_a_file_is_wrong(place: Place):
    assert check_clock(place, now=time.time()).outcome is Outcome.OK

    file = place.paths.config_file
    file.parent.mkdir(parents=True)
    file.touch()
    os.utime(file, (2e9, 2e9))

    fault = check_clock(place, now=time.time())
    assert fault.outcome is Outcome.WRONG
    assert f"{file} was written at 2033" in fault.why


def test_too_few_open_files_are_wrong():
    line = "from local_ai.doctor.system import _check_descriptors as c; print(c().why)"
    done = subprocess.run(
        ["sh", "-c", f'ulimit -n 64 && exec "{sys.executable}" -c "{line}"'],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == "this shell allows 64 open files (ulimit -n), and it needs 128\n"


@pytest.mark.parametrize(
    ("health", "code"), [(Health.UNHEALTHY, 1), (Health.UNKNOWN, 4)], ids=["failed", "silent"]
)
def test_server_that_failed_or_is_silent_is_wrong(
    place: Place, only_fault: OnlyFault, health: Health, code: int
):
    report = replace(place.report, verdict=Verdict(health, "So", "it is", why="because", fix="do that"))

    fault = only_fault(environment_checks(replace(place, report=report), no_service))

    assert (fault.name, fault.finding, fault.why, fault.exit_code) == ("server", "So: it is", "because", code)


def test_server_of_another_version_is_named(place: Place, only_fault: OnlyFault):
    verdict = Verdict(Health.HEALTHY, "Ready", "it is")
    report = replace(place.report, verdict=verdict, version="0.0.1")

    assert only_fault(environment_checks(replace(place, report=report), no_service)).why.startswith(
        "it is of version 0.0.1, and "
    )


def test_service_of_an_installation_that_moved_is_named(place: Place, tmp_path: Path, only_fault: OnlyFault):
    service = SystemdService(tmp_path)
    seen = {"HOME": str(tmp_path)}
    old, new = (
        define(python, seen, config=None, log=tmp_path / "log", drain_s=1) for python in ("/old", "/new")
    )
    service.file.parent.mkdir(parents=True)
    service.file.write_bytes(service.render(old))

    def report() -> ServiceReport:
        return replace(
            no_service(), is_installed=True, is_current=service.file.read_bytes() == service.render(new)
        )

    fault = only_fault(environment_checks(place, report))
    assert (fault.finding, fault.command) == ("the service is out of date", "local-ai service install")


def test_service_manager_that_does_not_answer_is_named(place: Place, only_fault: OnlyFault):
    def report() -> ServiceReport:
        raise LocalAIError(
            "the system's service manager did not do what was asked", why="no bus", fix="log in"
        )

    assert only_fault(environment_checks(place, report)).why == "no bus"


def test_several_kinds_of_wrong_make_code_1(place: Place):
    two = (Check("a", Outcome.WRONG, "", exit_code=2), Check("b", Outcome.WRONG, "", exit_code=5))

    assert exit_code(two) == 1
    assert exit_code(()) == 0
