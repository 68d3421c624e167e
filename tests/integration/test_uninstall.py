"""`uninstall` as it is typed."""

import pytest
from tests.server import Server

pytestmark = pytest.mark.integration


def test_uninstall_refuses_without_a_person_and_with_yes_stops_the_server_first(running: Server):
    cached = running.home / ".cache/huggingface/hub/models--org--name/file"
    cached.parent.mkdir(parents=True)
    cached.write_text("weights")

    bashrc = running.home / ".bashrc"
    bashrc.write_text("mine\n")
    assert running.run("completion", "install", "bash").returncode == 0

    refused = running.run("uninstall")
    assert refused.returncode == 2
    assert "fix: if you mean it: local-ai uninstall --yes" in refused.stderr
    assert running.status()["running"]

    done = running.run("uninstall", "--yes")
    assert done.returncode == 0, done.stderr
    assert "running; it is stopped first" in done.stdout
    assert f"completion     its lines in {bashrc}" in done.stdout
    assert "downloaded models, which other programs use too" in done.stdout
    assert f"{running.paths.models_dir / 'tiny'} (not written by local-ai)" in done.stdout
    assert running.processes() == []
    assert not running.paths.state_dir.exists()
    assert (running.paths.models_dir / "tiny").exists()
    assert cached.exists()
    assert bashrc.read_text() == "mine\n"

    again = running.run("uninstall", "--yes")
    assert again.stdout.startswith("There is nothing of local-ai to remove.\n")
