"""Commands for models, given the name of a peer's."""

import json
from pathlib import Path

import pytest

from local_ai.cli.parser import parse
from local_ai.errors import ConfigError

COMMANDS = ["pin", "unpin", "unload", "use", "info", "remove", "pull"]


@pytest.mark.parametrize("name", ["other@b", "org/other@B"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_peers_model_is_refused_as_one(
    command: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "HF_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    monkeypatch.setenv("LOCAL_AI_PEERS", json.dumps([{"name": "b", "url": "http://b.invalid"}]))

    wanted = parse(["models", command, name])
    assert wanted.command

    with pytest.raises(ConfigError) as caught:
        wanted.command.run(wanted.values)

    assert caught.value.what == f"the model {name!r} is not on this machine"
    assert caught.value.why == "it is a model of the peer b: answers are all that can be asked of it here"
