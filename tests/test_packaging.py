"""The wheel: built, installed into an empty environment, and used from there."""

import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from tests.waits import scaled
from uv import find_uv_bin

CHECKOUT = Path(__file__).parents[1]

# What settings and rendering need; the engine's gigabytes are not needed to see that the wheel is whole.
NEEDED = ("jinja2", "pydantic-settings", "psutil")

USE = """
from pathlib import Path
import local_ai
from local_ai.settings.paths import find_paths
from local_ai.supervision.plan import plan
from local_ai.supervision.render import render, template_dir
from local_ai.settings.example import example_text
from local_ai.settings.state import make_state

paths = find_paths({"HOME": "/home/ada"})
conf = render(plan(make_state(local_ai.load_config(), paths)), paths)
assert "[program:mlx-omni-server]" in conf
assert "port = 8080" in example_text()
print(Path(local_ai.__file__).parent, template_dir())
"""


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


def uv() -> str:
    return str(find_uv_bin())


@pytest.mark.integration
def test_wheel_holds_the_templates_and_the_example(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())

    assert {
        "local_ai/templates/supervisord.conf",
        "local_ai/config.example.toml",
        "local_ai/py.typed",
    } <= names
    assert not {name for name in names if name.startswith(("tests/", "benchmarks/", ".ci"))}


@pytest.mark.integration
def test_installed_wheel_renders_from_its_own_templates(wheel: Path, tmp_path: Path):
    home = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin/python"
    pip = [uv(), "pip", "install", "--quiet", "--python", str(python)]
    subprocess.run([*pip, *(f"{name}=={version(name)}" for name in NEEDED)], check=True, timeout=scaled(120))
    subprocess.run([*pip, "--no-deps", str(wheel)], check=True, timeout=scaled(120))
    (site,) = home.glob("lib/python*/site-packages")

    used = subprocess.run(
        [str(python), "-I", "-c", USE], cwd=tmp_path, capture_output=True, text=True, timeout=scaled(60)
    )

    assert used.stderr == ""
    assert used.stdout.split() == [str(site / "local_ai"), str(site / "local_ai/templates")]
