"""Which BLAS multiplies is told, and a slow one is warned of."""

import json
import sys
from pathlib import Path

import pytest
from tests.server import Server

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="MLX needs no BLAS on a Mac"),
]


def test_the_packages_blas_is_named_where_it_is_chosen(server: Server):
    server.environment["LOCAL_AI_ENGINE__BLAS"] = "packaged"

    started = server.start()
    status = server.run("server.status")

    line = next(line for line in status.stdout.splitlines() if line.startswith("  computes on "))
    blas = line.partition("the CPU, with ")[2]
    assert blas.startswith("OpenBLAS 0.3.")
    assert line.endswith(" (scipy-openblas32)")
    assert line in started.stdout
    assert (server.status()["engine"]["device"], server.status()["engine"]["blas"]) == ("cpu", blas)
    assert "slowly" not in started.stderr + status.stdout


def test_a_start_and_a_status_without_a_fast_blas_name_the_fix(server: Server, tmp_path: Path):
    (tmp_path / "scipy_openblas32").mkdir()
    (tmp_path / "scipy_openblas32/__init__.py").touch()  # found first, and it has no library
    server.environment |= {"LOCAL_AI_ENGINE__BLAS": "packaged", "PYTHONPATH": str(tmp_path)}
    told = (
        "prompts are read slowly with MLX's reference BLAS; to fix it: install the Python package "
        "scipy-openblas32 where local-ai is installed, or the system's OpenBLAS (Debian, Ubuntu: "
        "apt install libopenblas0-pthread), then run: local-ai server restart"
    )

    started = server.start()
    status = server.run("server.status")
    page = server.run("server.status", "--json").stdout

    assert started.stderr.splitlines()[-1] == f"warning: {told}"
    assert f"  mlx-omni-server: {told}" in status.stdout.splitlines()
    assert json.loads(page)["engine"]["blas"] == "MLX's reference BLAS"
    assert "prompts are read slowly" in server.paths.log("mlx-omni-server").read_text()
