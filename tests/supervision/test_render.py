"""supervisord.conf: the golden file, and any path read back by supervisor's own parser."""

import os
import shlex
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from supervisor.options import ServerOptions

from local_ai.errors import ConfigError
from local_ai.settings.paths import Paths
from local_ai.settings.schema import LocalAISettings
from local_ai.settings.state import State
from local_ai.supervision.plan import plan
from local_ai.supervision.render import render, template_dir

GOLDEN = Path(__file__).parent / "golden/supervisord.conf"


def paths_under(folder: Path) -> Paths:
    return Paths(folder / "config", folder / "state", folder / "data", folder / "hub", folder / "cache")


def state_under(folder: Path, python: Path = Path("/usr/bin/python3")) -> State:
    paths = paths_under(folder)
    return State(
        version="1.2.3",
        python=python,
        settings=LocalAISettings(),
        paths=paths,
    )


def conf_for(state: State) -> str:
    return render(plan(state), state.paths)


def parse(conf: str) -> ServerOptions:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "supervisord.conf"
        file.write_text(conf, "utf-8")
        options = ServerOptions()
        options.realize(["-c", str(file)])
    return options


def test_conf_is_the_golden_file():
    assert conf_for(state_under(Path("/home/ada"))) == GOLDEN.read_text()


def test_templates_lie_at_the_top_of_the_checkout():
    assert (template_dir() / "supervisord.conf").is_file()


# No text that no path can hold, and none that the file's format cannot express (refused, see below).
names = st.text(
    st.characters(blacklist_characters="/\0\r\n", blacklist_categories=["Cs", "Cc", "Zl", "Zp"]),
    min_size=1,
    max_size=24,
).filter(lambda name: name == name.strip() and name not in {".", ".."})


@settings(max_examples=150, deadline=None)
@given(name=names)
@example(name="a b;c %(here)s ;x #y 'q' \"d\" 100%%s ü")
@example(name="% %% %s %(ENV_HOME)s")
@example(name="; # ;; ##")
@example(name="it's ; 'quoted'")
@example(name="a\\b $HOME `x`")
def test_any_path_is_read_back_as_it_was(name: str):
    with tempfile.TemporaryDirectory() as parent:
        # supervisor's parser insists on folders that exist.
        folder = Path(parent) / name
        (folder / "state/logs").mkdir(parents=True)
        state = state_under(folder, python=folder / "bin/python")

        options = parse(conf_for(state))

    paths = state.paths
    assert options.logfile == str(paths.log("supervisord"))
    assert options.pidfile == str(paths.supervisord_pid)
    assert options.directory == str(paths.state_dir)
    assert [server["file"] for server in options.server_configs] == [str(paths.supervisor_socket)]
    found = [group.process_configs[0] for group in options.process_group_configs]
    assert [config.name for config in found] == ["mlx-omni-server", "welcome-page"]
    for config, program in zip(found, plan(state), strict=True):
        assert tuple(shlex.split(config.command)) == program.command
        assert config.directory == str(program.directory)
        assert config.stdout_logfile == str(program.log)
        assert config.environment == dict(program.environment)


def test_parsed_conf_restarts_what_crashes_but_not_what_a_restart_cannot_mend(tmp_path: Path):
    (tmp_path / "state/logs").mkdir(parents=True)

    options = parse(conf_for(state_under(tmp_path)))

    for group in options.process_group_configs:
        (config,) = group.process_configs
        assert config.exitcodes == [3, 78]
        assert (config.stopasgroup, config.killasgroup, config.redirect_stderr) == (True, True, True)
    assert options.umask == 0o077


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a\nb", "holds the character '\\n'"),
        ("a\rb", "holds the character '\\r'"),
        (os.fsdecode(b"\xff"), "holds the character '\\udcff'"),
    ],
    ids=["newline", "carriage-return", "not-utf-8"],
)
def test_path_that_cannot_be_written_is_refused(name: str, reason: str):
    with pytest.raises(ConfigError) as caught:
        conf_for(state_under(Path("/home") / name))

    assert str(caught.value).startswith("error: supervisord.conf cannot be written\n  why: the path '/home/")
    assert f"{reason}, which that file's format cannot express" in caught.value.why
    assert caught.value.fix == "choose another folder with XDG_STATE_HOME, or move the installation"


def test_conf_holds_no_settings():
    state = state_under(Path("/home/ada"))
    secret = LocalAISettings.model_validate({"model": {"path": "secret-model"}})

    assert "secret-model" not in conf_for(replace(state, settings=secret))
