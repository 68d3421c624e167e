"""Units and property lists, read back by the programs that will read them."""

from __future__ import annotations

import plistlib
import shutil
import subprocess
from pathlib import Path

import pytest

from local_ai.errors import ConfigError
from local_ai.system_service.definition import ServiceDefinition, define
from local_ai.system_service.launchd import LaunchdService
from local_ai.system_service.systemd import SystemdService

ODD = 'a "b" $HOME %h \\n ; # é'


def definition(python: str = "/usr/bin/python3", **environ: str) -> ServiceDefinition:
    return define(
        python,
        {"HOME": "/home/ada", "PATH": "/usr/bin"} | environ,
        config=None,
        log=Path("/home/ada/.local/state/local-ai/logs/service.log"),
        drain_s=10,
    )


def test_a_service_starts_this_installation_in_the_foreground():
    made = define("/opt/python", {}, config=Path("/etc/my.toml"), log=Path("/log"), drain_s=10.0)

    assert made.command == (
        *("/opt/python", "-P", "-m", "local_ai", "server.start", "--foreground", "--timeout", "3600"),
        *("--config", "/etc/my.toml"),
    )
    assert made.stop_s == 40


def test_a_service_sees_the_same_folders_as_the_shell_and_none_of_its_secrets():
    made = definition(XDG_STATE_HOME="/s", HF_HOME="/h", HF_TOKEN="secret", OPENAI_API_KEY="secret")

    assert dict(made.environment) == {
        "HOME": "/home/ada",
        "PATH": "/usr/bin",
        "XDG_STATE_HOME": "/s",
        "HF_HOME": "/h",
    }


def test_a_setting_in_the_environment_is_refused_since_a_service_would_not_see_it():
    with pytest.raises(ConfigError) as caught:
        definition(LOCAL_AI_SERVER__PORT="9000")

    assert str(caught.value) == (
        "error: the service was not installed\n"
        "  why: LOCAL_AI_SERVER__PORT is set in this shell, and a service does not see it\n"
        "  fix: write these settings into config.toml (local-ai config init), unset them, and try again"
    )


@pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd is not installed: it checks the unit"
)
def test_systemd_accepts_the_unit(tmp_path: Path):
    # An interpreter that exists, in a folder whose name is as odd as can be.
    python = tmp_path / ODD / "python"
    python.parent.mkdir()
    python.symlink_to("/usr/bin/env")
    service = SystemdService(tmp_path)
    service.file.parent.mkdir(parents=True)
    service.file.write_bytes(service.render(definition(str(python), XDG_STATE_HOME=f"/home/ada/{ODD}")))

    checked = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", str(service.file)],
        capture_output=True,
        text=True,
        check=False,
    )

    about_ours = [line for line in checked.stderr.splitlines() if "local-ai" in line]
    assert about_ours == []


def test_a_line_break_in_a_path_is_refused():
    with pytest.raises(ConfigError, match="the service was not installed"):
        SystemdService(Path("/")).render(definition("/a\nExecStartPre=/bin/evil"))


@pytest.mark.parametrize(
    ("at_boot", "folder"), [(False, "/Users/ada/Library/LaunchAgents"), (True, "/Library/LaunchDaemons")]
)
def test_launchd_reads_the_property_list_as_it_was_meant(at_boot: bool, folder: str):
    service = LaunchdService(Path("/Users/ada"), uid=501, user="ada", at_boot=at_boot)

    read = plistlib.loads(service.render(definition(f"/{ODD}/python")))

    assert service.file == Path(folder) / "local-ai.server.plist"
    assert read["ProgramArguments"][0] == f"/{ODD}/python"
    assert read["KeepAlive"] == {"SuccessfulExit": False}
    assert read["RunAtLoad"] is True
    assert read.get("UserName") == ("ada" if at_boot else None)
