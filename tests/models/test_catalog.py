"""Which models this machine has."""

import json
import os
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from local_ai.models.catalog import (
    Model,
    choose_default,
    find_model,
    list_incomplete,
    list_models,
    nearest_names,
)
from local_ai.settings.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(
        tmp_path / "config", tmp_path / "state", tmp_path / "data", tmp_path / "hub", tmp_path / "cache"
    )


def make(folder: Path, *, age: int = 0, **config: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"} | config))
    (folder / "model.safetensors").write_bytes(b"12345")
    os.utime(folder / "config.json", (1_000_000 - age, 1_000_000 - age))
    return folder


def model(name: str, *, size: int = 1, generates: bool = True) -> Model:
    return Model(name, Path("/models") / name, 0, size, "llama", "", None, generates)


def test_models_come_from_our_folder_and_the_hub_cache_newest_first(paths: Paths):
    make(paths.models_dir / "Own", age=5, max_position_embeddings=2048)
    snapshot = paths.hub_cache / "models--org--Name/snapshots/abc"
    make(snapshot)
    (paths.hub_cache / "models--org--Name/refs").mkdir()
    (paths.hub_cache / "models--org--Name/refs/main").write_text("abc")

    models = list_models(paths)

    assert [(found.id, found.path) for found in models] == [
        ("org/Name", snapshot),
        ("Own", paths.models_dir / "Own"),
    ]
    assert (models[1].size_bytes, models[1].context_tokens, models[1].family) == (5, 2048, "llama")


def test_list_is_empty_when_there_are_no_folders(paths: Paths):
    assert list_models(paths) == []


def test_partial_and_broken_folders_are_left_out(paths: Paths):
    (make(paths.models_dir / "no-weights") / "model.safetensors").unlink()
    (make(paths.models_dir / "broken") / "config.json").write_text("{")
    (make(paths.models_dir / "a-list") / "config.json").write_text("[]")
    (paths.models_dir / "empty").mkdir()
    make(paths.models_dir / ".half-made")

    assert list_models(paths) == []


def test_configured_folder_is_listed_wherever_it_lies(paths: Paths, tmp_path: Path):
    folder = make(tmp_path / "elsewhere/Mine")

    models = list_models(paths, str(folder))

    assert [found.id for found in models] == ["Mine"]
    assert find_model(str(folder), models) == models[0]


def test_new_model_appears_at_once(paths: Paths):
    assert list_models(paths) == []

    make(paths.models_dir / "New")

    assert [found.id for found in list_models(paths)] == ["New"]


def test_vision_models_tell_their_context_in_a_nested_table(paths: Paths):
    make(paths.models_dir / "Eyes", text_config={"max_position_embeddings": 4096})

    assert list_models(paths)[0].context_tokens == 4096


@pytest.mark.parametrize(
    ("architectures", "generates"),
    [(["LlamaForCausalLM"], True), (["BertModel"], False), (None, True)],
    ids=["causal", "embedding", "silent"],
)
def test_kind_of_model_is_told_by_its_architecture(paths: Paths, architectures: object, generates: bool):
    make(paths.models_dir / "M", architectures=architectures)

    assert list_models(paths)[0].generates_text is generates


def test_a_model_that_transcribes_is_no_default_for_text(paths: Paths):
    make(paths.models_dir / "m", model_type="whisper")

    assert list_models(paths)[0].generates_text is False


def test_default_is_the_newest_that_generates_text_and_fits():
    models = [model("huge", size=90), model("bert", generates=False), model("good"), model("older")]

    assert choose_default(models, configured=None, memory_bytes=lambda: 100) == models[2]


def test_default_is_the_starter_only_where_there_is_no_other():
    starter, other = model("SmolLM2-135M-Instruct"), model("other")

    assert choose_default([starter, other], configured=None, memory_bytes=lambda: 100) == other
    assert choose_default([starter], configured=None, memory_bytes=lambda: 100) == starter
    assert choose_default([], configured=None, memory_bytes=lambda: 100) is None


def test_configured_default_wins_even_when_large():
    models = [model("small"), model("large", size=1000)]

    assert choose_default(models, configured="large", memory_bytes=lambda: 100) == models[1]
    assert choose_default(models, configured="gone", memory_bytes=lambda: 100) is None


def test_default_that_a_start_chose_stays_as_long_as_it_is_there():
    newest, settled = both = model("newest"), model("settled")
    choose = partial(choose_default, memory_bytes=lambda: 100, settled="settled")

    assert choose(both, configured=None) == settled
    assert choose([newest], configured=None) == newest
    assert choose(both, configured="newest") == newest


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("llama-3.2-1b-instruct", ["mlx-community/Llama-3.2-1B-Instruct"]),
        ("mlx-community/llama-3.2-1B-Instrct", ["mlx-community/Llama-3.2-1B-Instruct"]),
        ("smolm2-135m-instruct", ["SmolLM2-135M-Instruct"]),
        ("smollm", ["SmolLM2-135M-Instruct"]),
        ("LLAMA-3.2", ["mlx-community/Llama-3.2-1B-Instruct"]),
        ("zzz", []),
        ("m", []),
    ],
)
def test_nearest_names_ignore_case_and_owner(asked: str, names: list[str]):
    models = [model("mlx-community/Llama-3.2-1B-Instruct"), model("SmolLM2-135M-Instruct")]

    assert nearest_names(asked, models, most=1) == names


def test_nearest_names_of_a_very_long_name_are_found_as_quickly():
    before = time.process_time()

    assert nearest_names("x" * 20_000_000, [model(f"org/model-{n}") for n in range(50)]) == []
    assert time.process_time() - before < 1


def test_quantisation_is_read_from_either_key(paths: Paths):
    make(paths.models_dir / "a", quantization={"group_size": 64, "bits": 4})
    make(paths.models_dir / "b", quantization_config={"bits": 8})
    make(paths.models_dir / "c", quantization_config={"quant_method": "x"})

    assert {found.id: found.quantisation for found in list_models(paths)} == {
        "a": "4-bit",
        "b": "8-bit",
        "c": "",
    }


def test_model_with_missing_shards_is_not_listed_but_told(paths: Paths):
    folder = make(paths.models_dir / "Half")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00003.safetensors")

    assert list_models(paths) == []
    assert [(one.id, one.reason) for one in list_incomplete(paths)] == [
        ("Half", "2 of 3 weight files are missing")
    ]


@pytest.mark.parametrize("beside", ["index", "whole weights"])
def test_odd_numbers_of_weight_files_do_not_hide_a_whole_model(paths: Paths, beside: str):
    folder = make(paths.models_dir / "Odd")
    numbered = (folder / "model.safetensors").rename(folder / "model-00001-of-00003.safetensors")
    if beside == "index":
        index = {"weight_map": {"a": numbered.name}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    else:
        (folder / "model.safetensors").write_bytes(b"12345")

    assert [found.id for found in list_models(paths)] == ["Odd"]


LAYERS = [f"model.layers.{number}.q.weight" for number in range(3)]


@pytest.mark.parametrize(
    ("files", "index", "reason"),
    [
        ({"model-00001-of-00003": LAYERS}, None, ""),
        (
            {"model-00004-of-00003": LAYERS[:2], "model-00009-of-00003": [*LAYERS[2:], "lm_head.weight"]},
            None,
            "",
        ),
        ({"model-00000-of-00005": ["mtp.layers.0.q.weight", *LAYERS]}, None, ""),
        ({"model-00001-of-00003": LAYERS[:2]}, None, "2 of 3 weight files are missing"),
        ({"model-00002-of-00003": LAYERS[1:]}, None, "2 of 3 weight files are missing"),
        ({"model-00001-of-00003": LAYERS}, LAYERS[1:], ""),
        ({"model-00001-of-00003": LAYERS}, [*LAYERS, "lm_head.weight"], "2 of 3 weight files are missing"),
        ({"model-00001-of-00003": LAYERS}, ["transformer.h.0.q"], ""),
        ({"model-00001-of-00003": LAYERS[:1]}, ["transformer.h.0.q"], "2 of 3 weight files are missing"),
    ],
    ids=[
        "all in one",
        "numbers above",
        "from 0 and an extra",
        "last layer missing",
        "first layer missing",
        "stale files in the index",
        "index has more",
        "another's index",
        "another's index and a layer missing",
    ],
)
def test_odd_numbers_are_judged_by_the_tensors(
    paths: Paths, files: dict[str, list[str]], index: list[str] | None, reason: str
):
    folder = make(paths.models_dir / "Odd", num_hidden_layers=3)
    (folder / "model.safetensors").unlink()
    for name, tensors in files.items():
        save_file({tensor: np.zeros(1) for tensor in tensors}, folder / f"{name}.safetensors")
    if index is not None:
        gone = {"weight_map": dict.fromkeys(index, "model-00007-of-00007.safetensors")}
        (folder / "model.safetensors.index.json").write_text(json.dumps(gone))

    assert [one.reason for one in list_incomplete(paths)] == ([reason] if reason else [])
    assert [found.id for found in list_models(paths)] == ([] if reason else ["Odd"])


@pytest.mark.parametrize("index", ['{"weight_map": {"a": "gone.safetensors"}}', "[" * 100_000, "[]", "{}"])
def test_an_index_that_says_no_more_leaves_the_numbers(paths: Paths, index: str):
    folder = make(paths.models_dir / "Half")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00003.safetensors")
    (folder / "model.safetensors.index.json").write_text(index)

    assert [one.reason for one in list_incomplete(paths)] == ["2 of 3 weight files are missing"]


def test_incomplete_folders_say_what_is_missing(paths: Paths):
    (make(paths.models_dir / "a") / "model.safetensors").unlink()
    (make(paths.models_dir / "b") / "config.json").unlink()
    (make(paths.models_dir / "c") / "config.json").write_text("{")
    (paths.models_dir / "not-a-model").mkdir()

    assert {one.id: one.reason for one in list_incomplete(paths)} == {
        "a": "no weights",
        "b": "config.json is missing",
        "c": "config.json cannot be read: Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1)",
    }


def test_changed_config_is_read_anew(paths: Paths):
    folder = make(paths.models_dir / "M", max_position_embeddings=1024)
    assert list_models(paths)[0].context_tokens == 1024

    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 2048}))

    assert list_models(paths)[0].context_tokens == 2048


def snapshot(paths: Paths, commit: str, *, ref: str | None = None, whole: bool = True) -> Path:
    repository = paths.hub_cache / "models--org--Name"
    folder = make(repository / "snapshots" / commit)
    if not whole:
        (folder / "model.safetensors").unlink()
    (repository / "refs").mkdir(exist_ok=True)
    if ref:
        (repository / "refs" / ref).write_text(commit)
    return folder


def test_further_folders_may_be_flat_nested_or_a_model_themselves(paths: Paths, tmp_path: Path):
    make(tmp_path / "lmstudio/org/Nested")
    make(tmp_path / "lmstudio/Flat")
    make(tmp_path / "Alone")
    places = paths.with_model_folders([tmp_path / "lmstudio", tmp_path / "Alone", tmp_path / "missing"])

    assert {found.id: found.path for found in list_models(places)} == {
        "org/Nested": tmp_path / "lmstudio/org/Nested",
        "Flat": tmp_path / "lmstudio/Flat",
        "Alone": tmp_path / "Alone",
    }


def test_our_own_folder_wins_over_further_ones(paths: Paths, tmp_path: Path):
    own = make(paths.models_dir / "M")
    make(tmp_path / "more/M")

    assert [found.path for found in list_models(paths.with_model_folders([tmp_path / "more"]))] == [own]


def test_another_revision_beside_main_has_a_name_of_its_own(paths: Paths):
    snapshot(paths, "aaa", ref="main")
    snapshot(paths, "bbb", ref="v2")

    assert {found.id for found in list_models(paths)} == {"org/Name", "org/Name@v2"}


def test_unfinished_newer_revision_does_not_hide_an_older_whole_one(paths: Paths):
    older = snapshot(paths, "aaa")
    snapshot(paths, "bbb", ref="main", whole=False)

    assert [(found.id, found.path) for found in list_models(paths)] == [("org/Name", older)]
    assert list_incomplete(paths) == []


def test_unfinished_download_of_the_hub_is_told(paths: Paths):
    blobs = paths.hub_cache / "models--org--Name/blobs"
    blobs.mkdir(parents=True)
    (blobs / "abc.incomplete").write_bytes(b"half")

    assert [(one.id, one.reason) for one in list_incomplete(paths)] == [
        ("org/Name", "its download is not finished")
    ]


def _as_adapter(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapters.safetensors").touch()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "m.safetensors.part").touch(), "its download is not finished"),
        (lambda folder: (folder / "downloading_m.safetensors").touch(), "its download is not finished"),
        (lambda folder: (folder / "m.GGUF").touch(), "its weights are GGUF, which MLX does not read"),
        (
            lambda folder: (folder / "model.safetensors").symlink_to("nowhere"),
            "model.safetensors points to a file that does not exist",
        ),
        (lambda folder: None, "no weights"),
        (
            lambda folder: (folder / "pytorch_model.bin").touch(),
            "its weights are PyTorch's (.bin), which MLX does not read",
        ),
        (
            lambda folder: (folder / "weights.npz").touch(),
            "its weights are NumPy's (.npz), which MLX does not read",
        ),
        (lambda folder: _as_adapter(folder), "it is an adapter, not a model"),
    ],
    ids=["part", "lm-studio", "gguf", "dangling", "nothing", "pytorch", "numpy", "adapter"],
)
def test_reason_names_what_is_wrong(paths: Paths, tmp_path: Path, spoil: Any, reason: str):
    folder = make(tmp_path / "more/org/M")
    (folder / "model.safetensors").unlink()
    spoil(folder)

    places = paths.with_model_folders([tmp_path / "more"])

    assert [(one.id, one.reason) for one in list_incomplete(places)] == [("org/M", reason)]
    assert list_models(places) == []


HOSTILE = {
    "nested": b"[" * 100_000,
    "no json": b"{",
    "no object": b"[1]",
    "no text": b"\xff\xfe",
    "huge": b" " * (16 * 1024 * 1024) + b"{}",
}
ODD = {
    "kind": {"model_type": ["x"]},
    "half a character": {"model_type": "\ud800"},
    "long": {"model_type": "x" * 100_000},
    "context": {"max_position_embeddings": "many"},
    "endless context": {"max_position_embeddings": 10**400},
    "bits": {"quantization": {"bits": {"a": 1}}},
    "classes": {"architectures": [None, {"a": 1}]},
}


def test_broken_config_costs_its_own_model_only(paths: Paths):
    make(paths.models_dir / "fine")
    for name, content in HOSTILE.items():
        (make(paths.models_dir / name) / "config.json").write_bytes(content)

    assert [each.id for each in list_models(paths)] == ["fine"]
    assert {each.id for each in list_incomplete(paths)} == {*HOSTILE}


@pytest.mark.parametrize(
    "file", ["config.json", "tokenizer.json", "model-00001-of-00003.safetensors", "1_Pooling/config.json"]
)
def test_folder_with_a_pipe_or_a_device_is_no_model_whichever_file_it_is(paths: Paths, file: str):
    """Read, it would hold the engine for ever, or fill the memory."""
    make(paths.models_dir / "fine")
    for name in ("pipe", "device"):
        special = make(paths.models_dir / name) / file
        special.parent.mkdir(exist_ok=True)
        special.unlink(missing_ok=True)
    os.mkfifo(paths.models_dir / "pipe" / file)
    (paths.models_dir / "device" / file).symlink_to("/dev/zero")

    assert [each.id for each in list_models(paths)] == ["fine"]
    assert {each.id: each.reason for each in list_incomplete(paths)} == dict.fromkeys(
        ("pipe", "device"), f"{file} is a pipe, a socket or a device"
    )


@pytest.mark.parametrize("config", ODD.values(), ids=ODD)
def test_odd_value_of_a_config_is_shown_or_left_out(paths: Paths, config: dict[str, Any]):
    folder = make(paths.models_dir / "odd", **config)
    os.utime(folder / "config.json", (10**12, 10**12))

    (found,) = list_models(paths)

    json.dumps(vars(found), default=str, ensure_ascii=False).encode()
    assert len(found.family) <= 600
    datetime.fromtimestamp(found.created, UTC)


@pytest.mark.parametrize(
    ("folder", "name"),
    [(b"bad\xff", "bad\\xff"), (b"red\x1b[31m", "red\\x1b[31m"), (b"two\nlines", "two\\nlines")],
)
def test_name_that_cannot_be_shown_is_written_with_escapes(paths: Paths, folder: bytes, name: str):
    made = make(paths.models_dir / os.fsdecode(folder))

    models = list_models(paths)

    assert [each.id for each in models] == [name]
    assert (found := find_model(name, models)) is not None
    assert found.path == made
