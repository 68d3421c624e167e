"""What a changed settings file means for a server that runs."""

from typing import Any

from local_ai.settings.reload import Change, compare
from local_ai.settings.schema import LocalAISettings


def settings(**sections: Any) -> LocalAISettings:
    return LocalAISettings.model_validate(sections)


def test_what_can_change_in_place_is_taken_and_the_rest_waits_for_a_restart():
    running = settings(server={"port": 8080}, aliases={"a": "x"}, models={"org/N-1.5": {"top_k": 5}})
    wanted = settings(
        server={"port": 9000, "log_level": "DEBUG", "drain_s": 3},
        generation={"temperature": 0.5},
        aliases={"b": "x"},
        models={"paths": ["/shelf"], "org/N-1.5": {"temperature": 1}, "own": {"thinking": False}},
        gateway={"max_concurrency": 2, "max_body_mb": 5},
        model={"path": "x", "idle_unload_s": 9},
    )

    reload = compare(running, wanted)

    assert [change.key for change in reload.changed] == [
        "server.log_level",
        "server.drain_s",
        "model.idle_unload_s",
        'models."org/N-1.5".top_k',
        "aliases",
        "generation.temperature",
        "gateway.max_concurrency",
        'models."org/N-1.5".temperature',
        "models.own.thinking",
    ]
    assert reload.needs_restart == (
        Change("server.port", 8080, 9000),
        Change("model.path", None, "x"),
        Change("models.paths", ["~/.lmstudio/models"], ["/shelf"]),
        Change("gateway.max_body_mb", 64, 5),
    )
    kept = {"server": {"port": 8080}, "model": {"path": None}, "gateway": {"max_body_mb": 64}}
    for section, values in kept.items():
        for name, value in values.items():
            assert getattr(getattr(reload.settings, section), name) == value
    assert compare(reload.settings, wanted).changed == ()


def test_changed_keys_of_clients_are_noticed_and_never_shown():
    reload = compare(
        settings(server={"api_keys": ["sesame-open"]}), settings(server={"api_keys": ["another-key"]})
    )

    assert reload.changed == (Change("server.api_keys", ["**********"], ["**********"]),)
    assert reload.settings.server.api_keys[0].get_secret_value() == "another-key"
