"""Peers are installed, or it is said why not."""

from pathlib import Path

from benchmarks.installed import install_peers


def test_what_cannot_be_installed_is_named(tmp_path: Path):
    for name in ("python", "npm"):
        (tmp_path / name).write_text("a file where a folder should be")

    installed = install_peers(tmp_path)

    assert installed.commands == {}
    assert set(installed.absent) == {"supervisor", "circus", "honcho", "pm2"}
    assert all(reason.startswith("could not be installed: ") for reason in installed.absent.values())
