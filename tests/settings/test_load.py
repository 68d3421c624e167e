"""The four sources of settings, their order, and every way they can be wrong."""

import os
import re
import time
from pathlib import Path

import pytest

from local_ai.errors import ConfigError
from local_ai.settings.load import (
    Loaded,
    known_keys,
    load,
    load_again,
    load_config,
    override,
    variable_for,
)
from local_ai.settings.paths import find_paths
from local_ai.settings.schema import LocalAISettings


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads this machine's own settings."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in os.environ:
        if name.startswith("LOCAL_AI_"):
            monkeypatch.delenv(name)


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "settings.toml"
    file.write_text(text)
    return file


def failure(**arguments: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load(**arguments)  # type: ignore[arg-type]
    return str(caught.value)


def origin(loaded: Loaded, key: str) -> str:
    return next(origin for name, _, origin in loaded.rows if name == key)


def test_a_pasted_hub_address_is_a_models_name_wherever_it_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    address = "https://huggingface.co/org/name"
    file = write(tmp_path, f'[model]\npath = "{address}/tree/v2"\n[aliases]\n"gpt-4o" = "{address}"\n')

    of_file = load(config_path=file).settings
    monkeypatch.setenv("LOCAL_AI_MODEL__PATH", address)

    assert (of_file.model.path, of_file.aliases) == ("org/name@v2", {"gpt-4o": "org/name"})
    assert load().settings.model.path == "org/name"
    assert load_config(model=address).model.path == "org/name"


def test_defaults_are_those_of_the_contract():
    settings = load_config()

    assert (settings.server.host, settings.server.port, settings.server.log_level) == (
        "127.0.0.1",
        8080,
        "INFO",
    )
    assert settings.generation.model_dump() == {
        "max_tokens": 4096,
        "temperature": 0.0,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "thinking": None,
    }
    assert (settings.model.path, settings.gateway.wait_for_engine_s) == (None, 120)


def test_command_line_wins_over_environment_over_file_over_default(tmp_path: Path):
    file = write(tmp_path, "[server]\nport = 1001\nhost = '127.0.0.2'\n[generation]\ntop_k = 5\n")
    environ = {"LOCAL_AI_SERVER__PORT": "1002", "LOCAL_AI_SERVER__HOST": "127.0.0.3"}

    loaded = load(config_path=file, overrides={"server.port": 1003}, environ=environ)

    assert loaded.settings.server.port == 1003
    assert loaded.settings.server.host == "127.0.0.3"
    assert loaded.settings.generation.top_k == 5
    assert [origin(loaded, f"server.{name}") for name in ("port", "host", "log_level")] == [
        "command line",
        "LOCAL_AI_SERVER__HOST",
        "default",
    ]
    assert origin(loaded, "generation.top_k") == str(file)


def test_file_in_the_working_directory_wins_over_the_users(tmp_path: Path):
    users = find_paths().config_file
    users.parent.mkdir(parents=True)
    users.write_text("[server]\nport = 2001\n")
    assert load_config().server.port == 2001

    Path("config.toml").write_text("[server]\nport = 2002\n")

    assert load_config().server.port == 2002


def test_arguments_of_load_config_win():
    settings = load_config(model="SmolLM2-135M-Instruct", port=3001, host="::1")

    assert (settings.model.path, settings.server.port, settings.server.host) == (
        "SmolLM2-135M-Instruct",
        3001,
        "::1",
    )


def test_all_problems_are_told_at_once_with_key_value_and_origin(tmp_path: Path):
    file = write(
        tmp_path,
        'port = 1\n[server]\nport = true\nprt = 3\nhost = 3\nlog_level = "info"\n'
        '[generation]\ntemperature = 9\ntop_p = 0\nmax_tokens = 1.5\n[modle]\npath = "x"\n'
        '[model]\ntrust_remote_code = "yes"\n',
    )

    text = failure(
        config_path=file, environ={"LOCAL_AI_GENERATION__TOP_K": "abc"}, overrides={"server.port": "x"}
    )

    assert text == (
        "error: the settings are not valid\n"
        f"  why: server.host: must be text in quotes, got 3 ({file})\n"
        f"       server.port: must be a whole number, got true ({file})\n"
        "       server.log_level: must be one of DEBUG, INFO, WARNING, ERROR, got 'info'; did you mean INFO? "
        f"({file})\n"
        f"       server.prt: unknown key; did you mean server.port? ({file})\n"
        f"       model.trust_remote_code: must be true or false, got 'yes' ({file})\n"
        f"       generation.max_tokens: must be a whole number, got 1.5 ({file})\n"
        f"       generation.temperature: must be 0–2, got 9 ({file})\n"
        f"       generation.top_p: must be above 0 and at most 1, got 0 ({file})\n"
        f"       port: unknown key; did you mean server.port? ({file})\n"
        f"       modle: unknown key; did you mean model? ({file})\n"
        "       generation.top_k: must be a whole number, got 'abc' (LOCAL_AI_GENERATION__TOP_K)\n"
        "       server.port: must be a whole number, got 'x' (command line)\n"
        "  fix: correct what is named above, then run: local-ai config check\n"
        f"  see: {file}"
    )


def test_typo_in_a_key_gets_the_nearest_name(tmp_path: Path):
    file = write(tmp_path, "[server]\nprot = 8081\n")

    assert failure(config_path=file) == (
        "error: a setting is not valid\n"
        f"  why: server.prot: unknown key; did you mean server.port? ({file})\n"
        "  fix: correct what is named above, then run: local-ai config check\n"
        f"  see: {file}"
    )


def test_wrong_type_is_named_with_its_value(tmp_path: Path):
    file = write(tmp_path, '[server]\nport = "8081"\n')

    assert failure(config_path=file) == (
        "error: a setting is not valid\n"
        f"  why: server.port: must be a whole number, got '8081' ({file})\n"
        "  fix: correct what is named above, then run: local-ai config check\n"
        f"  see: {file}"
    )


def test_value_where_a_table_belongs_is_named(tmp_path: Path):
    file = write(tmp_path, "server = 8080\n")

    assert f"server: must be a table of keys, such as [server], got 8080 ({file})" in failure(
        config_path=file
    )


def test_broken_toml_is_told_with_the_place(tmp_path: Path):
    file = write(tmp_path, "[server\nport = 1\n")

    assert failure(config_path=file) == (
        "error: the settings file is not valid TOML\n"
        f"  why: {file}: expected ']' at the end of a table declaration (at line 1, column 8)\n"
        "  fix: correct that place, then run: local-ai config check\n"
        "  see: https://toml.io/en/v1.0.0"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("\ufeff[server]\n", "it begins with a byte order mark (BOM): have your editor save it as UTF-8"),
        (f"[x]\na = {'[' * 100_000}", "it is nested too deeply"),
        (f"[{'.'.join(['a'] * 20_000)}]", "it is nested too deeply"),
        (f"[server]\nport = {'9' * 5000}", "exceeds the limit (4300 digits) for integer string conversion"),
    ],
    ids=["bom", "lists", "tables", "digits"],
)
def test_file_that_no_person_writes_by_hand_is_told_in_words_too(tmp_path: Path, text: str, why: str):
    file = write(tmp_path, text)

    assert f"why: {file}: {why}" in failure(config_path=file)


@pytest.mark.parametrize(
    ("value", "must"),
    [("0", "above 0, got 0"), ('"8GB"', "a number, got '8GB'"), ("true", "a number, got true")],
)
def test_number_that_may_be_auto_is_one_problem(tmp_path: Path, value: str, must: str):
    file = write(tmp_path, f"[models]\nbudget = {value}\n")

    assert failure(config_path=file).splitlines()[:2] == [
        "error: a setting is not valid",
        f'  why: models.budget: must be "auto" or {must} ({file})',
    ]


@pytest.mark.parametrize(
    "unit",
    ["key%d = 1\n", "[tab%d]\nx = 1\n", "[models.m%d]\nbudgets = 1\n", "[[peers]]\nx%d = 1\n"],
    ids=["keys", "tables", "models", "peers"],
)
def test_thousands_of_wrong_keys_are_refused_at_once(tmp_path: Path, unit: str):
    """The first are named, each with a suggestion, which takes a millisecond and more."""
    file = write(tmp_path, "".join(unit % number for number in range(3000)))

    began = time.process_time()
    told = failure(config_path=file).splitlines()

    assert time.process_time() - began < 2
    assert re.fullmatch(rf" +\d+ more: named once these are correct \({file}\)", told[-3])
    assert len(told) < 30


def test_thousands_of_unknown_variables_are_told_by_the_first():
    assert len(load(environ={f"LOCAL_AI_X{number}": "1" for number in range(3000)}).warnings) == 20


def test_key_and_value_of_a_million_characters_are_told_short(tmp_path: Path):
    file = write(tmp_path, f"{'x' * 1_000_000} = 1\n[server]\nlog_level = '{'y' * 1_000_000}'\n")

    assert len(failure(config_path=file)) < 1000


def test_file_that_is_not_text_is_told(tmp_path: Path):
    file = tmp_path / "settings.toml"
    file.write_bytes(b"[server]\n\xff\xfe")

    assert f"why: {file}: it is not UTF-8 text" in failure(config_path=file)


def test_file_named_by_config_must_be_there(tmp_path: Path):
    file = tmp_path / "other.toml"

    assert failure(config_path=file) == (
        "error: the settings file cannot be read\n"
        f"  why: --config names {file}, which is not there\n"
        f"  fix: correct the path, or create the file with: local-ai config init --config {file}"
    )


def test_folder_is_no_settings_file(tmp_path: Path):
    assert failure(config_path=tmp_path) == (
        "error: the settings file cannot be read\n"
        f"  why: --config names {tmp_path}, which is a folder\n"
        f"  fix: name the file in it: --config {tmp_path / 'config.toml'}"
    )


def test_unknown_variable_is_a_warning_with_the_nearest_name():
    loaded = load(environ={"LOCAL_AI_SERVER__PRT": "1", "LOCAL_AI_XXXXXXXXXXXXXXXXXXXXX": "1", "OTHER": "1"})

    assert loaded.warnings == (
        "LOCAL_AI_SERVER__PRT is not a setting and is ignored; did you mean LOCAL_AI_SERVER__PORT?",
        "LOCAL_AI_XXXXXXXXXXXXXXXXXXXXX is not a setting and is ignored",
    )


def test_empty_variable_counts_as_not_set():
    assert load(environ={"LOCAL_AI_SERVER__PORT": ""}).settings.server.port == 8080


@pytest.mark.parametrize(
    ("environ", "keys"),
    [({}, ["a-first-key"]), ({"LOCAL_AI_SERVER__API_KEYS": "a-second-key"}, ["a-second-key"])]
    + [({name: ""}, []) for name in ("LOCAL_AI_SERVER__API_KEYS", "local_ai_server__api_keys")],
    ids=["kept", "given anew", "empty", "empty in small letters"],
)
def test_restart_keeps_what_the_start_was_given_unless_its_variable_is_set(
    environ: dict[str, str], keys: list[str]
):
    loaded, _ = load_again({"server.api_keys": ["a-first-key"], "server.port": 8450}, environ=environ)

    assert [key.get_secret_value() for key in loaded.settings.server.api_keys] == keys
    assert loaded.settings.server.port == 8450


_UNSET = (None, [], {})


def test_every_key_can_be_set_by_a_variable():
    defaults = {key: value for key, value, _ in load().rows}
    environ = {
        variable_for(key): ", ".join(value) if isinstance(value, list) else str(value)
        for key, value in defaults.items()
        if value not in _UNSET
    }

    loaded = load(environ=environ)

    assert loaded.settings == LocalAISettings()
    assert set(loaded.origins) == {key for key, value in defaults.items() if value not in _UNSET}
    assert loaded.warnings == ()


def test_relative_paths_start_at_the_file_that_names_them(tmp_path: Path):
    file = write(tmp_path, '[model]\npath = "./models/one"\nadapter_path = "adapters/a"\n')

    model = load(config_path=file).settings.model

    assert (model.path, model.adapter_path) == (str(tmp_path / "models/one"), tmp_path / "adapters/a")


def test_relative_model_on_the_command_line_starts_at_the_working_directory():
    assert load(overrides={"model.path": "./one"}).settings.model.path == str(Path.cwd() / "one")


def test_hub_name_stays_a_name():
    assert load_config(model="mlx-community/Llama-3.2-1B").model.path == "mlx-community/Llama-3.2-1B"


def test_override_checks_like_every_other_source():
    with pytest.raises(ConfigError, match="a setting is not valid") as caught:
        override(LocalAISettings(), {"server.port": 0})

    assert caught.value.why == "server.port: must be 1–65535, got 0 (command line)"
    assert override(LocalAISettings(), {"server.port": 9, "server.host": None}).server.port == 9


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        LocalAISettings().server.port = 1  # type: ignore[misc]


def test_known_keys_are_dotted_names():
    assert {"server.port", "model.path", "generation.min_p", "engine.blas"} <= set(known_keys())


def test_lists_are_written_with_commas_in_the_environment_and_as_lists_in_a_file(tmp_path: Path):
    file = write(tmp_path, '[server]\nallowed_hosts = "a.local"\n')
    environ = {"LOCAL_AI_SERVER__ALLOWED_HOSTS": "a.local, b.local"}

    assert load(environ=environ).settings.server.allowed_hosts == ("a.local", "b.local")
    assert (
        f'why: server.allowed_hosts: must be a list, such as ["one", "two"], got \'a.local\' ({file})'
        in failure(config_path=file)
    )


def test_keys_are_masked_wherever_settings_are_shown(tmp_path: Path):
    file = write(tmp_path, '[server]\napi_keys = ["sesame-open-now"]\n')

    loaded = load(config_path=file)

    assert [key.get_secret_value() for key in loaded.settings.server.api_keys] == ["sesame-open-now"]
    assert "sesame" not in f"{loaded} {loaded.rows} {loaded.settings.model_dump_json()}"
    assert override(loaded.settings, {"server.port": 9}).server.api_keys == loaded.settings.server.api_keys


def test_key_that_is_not_valid_is_not_quoted(tmp_path: Path):
    file = write(tmp_path, '[server]\napi_keys = ["sesame"]\n')

    text = failure(config_path=file)

    assert "sesame" not in text
    assert "server.api_keys.0: must be at least 8 visible ASCII characters without spaces" in text


def test_problem_inside_a_list_names_where_the_list_came_from():
    environ = {"LOCAL_AI_MODEL__PATH": "m", "LOCAL_AI_SERVER__API_KEYS": "short"}

    assert "without spaces (LOCAL_AI_SERVER__API_KEYS)" in failure(environ=environ)


def test_aliases_keep_their_dots_and_come_from_any_source(tmp_path: Path):
    file = write(tmp_path, '[aliases]\n"gpt-3.5-turbo" = "small"\n"claude-*" = "default"\n')

    from_file = load(config_path=file, environ={})
    from_environment = load(config_path=file, environ={"LOCAL_AI_ALIASES": "gpt-4.1 = big, x=default"})

    assert from_file.settings.aliases == {"gpt-3.5-turbo": "small", "claude-*": "default"}
    assert from_file.origins == {"aliases": str(file)}
    assert from_environment.settings.aliases == {"gpt-4.1": "big", "x": "default"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"a" = 1', "aliases.a: must be text in quotes, got 1"),
        (
            '"a" = ""',
            "aliases: must be names in quotes, such as \"gpt-4o\" = \"default\"; 'a' is not, got {'a': ''}",
        ),
        ('"a" = "a"', "aliases: must lead to another name; 'a' leads to itself, got {'a': 'a'}"),
    ],
)
def test_wrong_aliases_are_told(tmp_path: Path, text: str, message: str):
    file = write(tmp_path, f"[aliases]\n{text}\n")

    assert f"  why: {message} ({file})\n" in failure(config_path=file, environ={})


def test_model_folders_start_where_they_were_written(tmp_path: Path):
    file = write(tmp_path, '[models]\npaths = ["shelf", "/far", "~/home"]\n')

    loaded = load(config_path=file, environ={})
    from_environment = load(config_path=file, environ={"LOCAL_AI_MODELS__PATHS": "/a, /b"})

    assert loaded.settings.models.paths == (tmp_path / "shelf", Path("/far"), Path("~/home"))
    assert from_environment.settings.models.paths == (Path("/a"), Path("/b"))


def test_moved_key_works_and_is_told(tmp_path: Path):
    file = write(tmp_path, "[engine]\nmodel_idle_unload_s = 7.5\n")

    loaded = load(config_path=file, environ={})

    assert loaded.settings.model.idle_unload_s == 7.5
    assert loaded.origins == {"model.idle_unload_s": str(file)}
    assert loaded.warnings == (
        f"engine.model_idle_unload_s has moved: call it model.idle_unload_s ({file}); "
        "until then the old name works",
    )


def test_moved_key_works_in_the_environment_too_and_the_new_name_wins(tmp_path: Path):
    file = write(tmp_path, "[engine]\nmodel_idle_unload_s = 7.5\n[model]\nidle_unload_s = 1.0\n")

    in_file = load(config_path=file, environ={})
    in_environment = load(config_path=file, environ={"LOCAL_AI_ENGINE__MODEL_IDLE_UNLOAD_S": "3"})

    assert in_file.settings.model.idle_unload_s == 1.0
    assert in_environment.settings.model.idle_unload_s == 3.0
    assert in_environment.origins["model.idle_unload_s"] == "LOCAL_AI_ENGINE__MODEL_IDLE_UNLOAD_S"


def test_wrong_value_under_a_moved_key_is_told_where_it_stands(tmp_path: Path):
    file = write(tmp_path, "[engine]\nmodel_idle_unload_s = -1\n")

    assert f"model.idle_unload_s: must be 0–604800, got -1 ({file})" in failure(config_path=file, environ={})


def test_users_file_that_leads_nowhere_is_not_taken_for_absent(tmp_path: Path):
    file = find_paths().config_file
    file.parent.mkdir(parents=True)
    file.symlink_to(tmp_path / "gone")

    assert failure() == (
        "error: the settings file cannot be read\n"
        f"  why: {file} is a broken link\n"
        f"  fix: fix or remove it: ls -l {file}"
    )


OWN = """
[models]
paths = ["shelf"]

[models."org/Name-1.5"]
temperature = 0.7
thinking = false
chat_template = "a.jinja"
adapter_path = "style"
aliases = ["fast"]
"""


def test_one_models_own_values_are_shown_with_their_origin(tmp_path: Path):
    file = write(tmp_path, OWN)

    loaded = load(config_path=file, environ={"LOCAL_AI_SERVER__PORT": "9000"})

    own = [row for row in loaded.rows if row[0].startswith("models.")]
    assert own == [
        ("models.paths", [str(tmp_path / "shelf")], str(file)),
        ("models.budget", "auto", "default"),
        ("models.fit_check", True, "default"),
        ('models."org/Name-1.5".temperature', 0.7, str(file)),
        ('models."org/Name-1.5".thinking', False, str(file)),
        ('models."org/Name-1.5".chat_template', str(tmp_path / "a.jinja"), str(file)),
        ('models."org/Name-1.5".adapter_path', str(tmp_path / "style"), str(file)),
        ('models."org/Name-1.5".aliases', ["fast"], str(file)),
    ]


def test_one_models_own_values_win_over_those_of_all_and_leave_the_rest(tmp_path: Path):
    settings = load(config_path=write(tmp_path, OWN + "[generation]\ntop_k = 9\n"), environ={}).settings

    own = settings.generation.of_model(settings.models.named["org/Name-1.5"])

    assert (own.temperature, own.top_k, own.thinking) == (0.7, 9, False)
    assert override(settings, {"server.port": 9000}).models == settings.models


def test_aliases_of_the_table_win_over_those_of_one_model(tmp_path: Path):
    settings = load(config_path=write(tmp_path, OWN + '[aliases]\n"fast" = "other"\n'), environ={}).settings

    assert settings.all_aliases == {"fast": "other"}


def test_mistakes_in_one_models_own_values_are_named(tmp_path: Path):
    file = write(
        tmp_path,
        'models.pathz = ["x"]\n[models."org/Name-1.5"]\ntemprature = 1\nmax_tokens = 0\n'
        'top_p = "x"\naliases = [""]\n[models.x]\nthinking = "yes"\ntop_k = 1.5\n',
    )

    why = failure(config_path=file, environ={})

    wrong = [line.strip().removeprefix("why: ") for line in why.splitlines() if f"({file})" in line]
    assert set(wrong) == {
        f"models.pathz: unknown key; did you mean models.paths?; a model's own values are a table: "
        f"[models.pathz] ({file})",
        f'models."org/Name-1.5".temprature: unknown key; did you mean temperature? ({file})',
        f'models."org/Name-1.5".max_tokens: must be at least 1, got 0 ({file})',
        f"models.\"org/Name-1.5\".top_p: must be a number, got 'x' ({file})",
        f"models.\"org/Name-1.5\".aliases.0: must be visible text, got '' ({file})",
        f"models.x.thinking: must be true or false, got 'yes' ({file})",
        f"models.x.top_k: must be a whole number, got 1.5 ({file})",
    }


@pytest.mark.parametrize("host", ["0.0.0.0:8080", "http://127.0.0.1", "[::1]:80", "my host", "name/"])
def test_host_with_scheme_or_port_is_refused_before_it_counts_as_open_to_the_network(host: str):
    assert (
        'server.host: must be an address or a name alone, such as "127.0.0.1", without http:// and port, '
        f"got {host!r} (command line)"
    ) in failure(overrides={"server.host": host}, environ={})


@pytest.mark.parametrize("host", ["0.0.0.0", "::1", "fe80::1%eth0", "my-mac.local"])
def test_host_is_an_address_or_a_name(host: str):
    given = {"server.host": host, "server.api_keys": "a-long-secret"}

    assert load(overrides=given, environ={}).settings.server.host == host


def test_settings_file_that_is_a_device_is_said_to_be_no_file():
    assert "/dev/null, which is not a file\n  fix: name a file with settings" in failure(
        config_path="/dev/null", environ={}
    )


def test_alias_of_two_models_is_refused(tmp_path: Path):
    text = '[models.a]\naliases = ["fast"]\n[models.b]\naliases = ["fast"]\n'

    assert "models: the alias 'fast' is given to 'a' and to 'b'" in failure(config_path=write(tmp_path, text))


@pytest.mark.parametrize("host", ["*.example.com", "*", "user@example.com", "[::1]"])
def test_hosts_of_pictures_are_whole_names(tmp_path: Path, host: str):
    file = write(tmp_path, f'[vision]\nallowed_hosts = ["{host}"]\n')

    with pytest.raises(ConfigError, match=r'must be a whole name or address, such as "images\.example\.com"'):
        load(config_path=file, environ={})
