"""`[cluster]`: several machines or several processes, and what is refused in words."""

from pathlib import Path

import pytest

from local_ai.errors import ConfigError
from local_ai.settings.load import load


def given(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "config.toml"
    file.write_text(f"[cluster]\n{text}\n")
    return file


@pytest.mark.parametrize(
    ("text", "size"),
    [("", 1), ("processes = 3", 3), ('hosts = ["a", "b"]', 2)],
    ids=["none", "here", "hosts"],
)
def test_a_cluster_is_as_large_as_its_hosts_or_processes(tmp_path: Path, text: str, size: int):
    cluster = load(config_path=given(tmp_path, text), environ={}).settings.cluster

    assert (cluster.size, cluster.is_on) == (size, size > 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            'hosts = ["a", "b"]\nprocesses = 2',
            "takes hosts (several machines) or processes (this machine alone)",
        ),
        (
            'hosts = ["a"]',
            "hosts must name two machines or more, this one first; for one machine set processes",
        ),
        ('hosts = ["a", "a"]', "hosts names a machine twice; for several processes of one set processes"),
        ('backend = "jaccl"\nprocesses = 2', 'backend = "jaccl" needs hosts, and in devices the hostfile'),
        ("silence_s = 1", "cluster.silence_s"),
        ("proceses = 2", "did you mean cluster.processes?"),
        (
            'processes = 2\n[engine]\ntext = "mlx-omni-server"',
            "cluster: cannot be used with engine.text = 'mlx-omni-server'; it splits mlx-lm's models",
        ),
        (
            'processes = 2\n[model]\nadapter_path = "a"',
            "cluster: cannot be used with model.adapter_path; an adapter is not split",
        ),
    ],
    ids=["both", "one-host", "twice", "jaccl", "silence", "typo", "omni", "adapter"],
)
def test_what_makes_no_cluster_is_refused_in_words(tmp_path: Path, text: str, words: str):
    with pytest.raises(ConfigError) as refused:
        load(config_path=given(tmp_path, text), environ={})

    assert words in str(refused.value)
