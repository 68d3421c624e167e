"""The core's parts in process: remembered prompts, and the path for models that cannot be batched."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from tests.engine.conftest import make_misshapen_model
from tests.tiny_families import make_tiny_family
from tests.tiny_model import make_tiny_adapter, make_tiny_embedder, make_tiny_model

from local_ai.engine.core.job import Event, Failed, Finished, Grammar, Job, ModelKey, Sampling, Token
from local_ai.engine.core.worker import Worker
from local_ai.engine.embeddings import Embedder
from local_ai.engine.formats.folder import read_format
from local_ai.models.catalog import Model
from local_ai.serving.errors import ApiError

pytestmark = pytest.mark.integration  # importing mlx-lm takes seconds

PROMPT = tuple(range(70, 90))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from tests.engine.core.loads import load_model

    folder = make_tiny_model(tmp_path_factory.mktemp("model"))
    yield load_model(ModelKey("tiny", folder), trust_remote_code=False)


def answer(runner: Any, loaded: Any, **options: Any) -> str:
    """Run one job to its end; return its text."""
    from local_ai.engine.core.tasks import Request

    events: list[Event] = []
    runner.add(Request(Job(loaded.words.key, PROMPT, 12, **options), events.append))
    while len(runner):
        runner.step()
    assert isinstance(events[-1], Finished), events
    return "".join(event.text for event in events if isinstance(event, Token | Finished))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sampling": Sampling(temperature=1.2, seed=4, top_p=0.9)},
        {"sampling": Sampling(frequency_penalty=1.5, repetition_penalty=1.2)},
        {"sampling": Sampling(logit_bias=((70, 12.0),))},
        {"grammar": Grammar('{"grammars": [{"json_schema": {"type": "integer", "maximum": 99}}]}')},
    ],
    ids=["plain", "seeded", "penalties", "bias", "grammar"],
)
def test_a_model_answers_the_same_batched_and_one_at_a_time(loaded: Any, options: dict[str, Any]):
    from local_ai.engine.core.decoding.batch import Batch
    from local_ai.engine.core.decoding.sequential import Sequence
    from local_ai.engine.core.memory.prompt_cache import PromptCache

    batched = answer(Batch(loaded, PromptCache(0)), loaded, **options)

    assert answer(Sequence(loaded), loaded, **options) == batched


def test_a_failed_step_fails_its_answers_and_leaves_a_working_batch(loaded: Any):
    from local_ai.engine.core.decoding.batch import Batch
    from local_ai.engine.core.memory.prompt_cache import PromptCache
    from local_ai.engine.core.tasks import Request
    from local_ai.engine.errors import unexpected

    batch = Batch(loaded, PromptCache(10**9))
    good = answer(batch, loaded)
    events: list[Event] = []
    batch.add(Request(Job(loaded.words.key, PROMPT, 12), events.append))
    batch.step()

    batch.fail_all(unexpected("the answer was cut off", MemoryError()))

    assert isinstance(events[-1], Failed)
    assert len(batch) == 0
    assert answer(batch, loaded) == good


def test_a_short_question_overtakes_long_prompts(loaded: Any):
    """It waits for the piece being read, its own, and a small one; never for a prompt's end."""
    from local_ai.engine.core.decoding.batch import Batch
    from local_ai.engine.core.memory.prompt_cache import PromptCache
    from local_ai.engine.core.tasks import Request

    batch = Batch(loaded, PromptCache(0))
    heard: dict[str, list[Event]] = {"short": []}
    for number in range(6):
        heard[f"long {number}"] = []
        prompt = tuple(70 + (place * number) % 20 for place in range(1500))
        batch.add(Request(Job(loaded.words.key, prompt, 2), heard[f"long {number}"].append))
    batch.step()
    batch.add(Request(Job(loaded.words.key, PROMPT, 2), heard["short"].append))

    steps = 0
    while not any(isinstance(event, Token) for event in heard["short"]):
        batch.step()
        steps += 1

    assert steps <= 3
    answered = [name for name, events in heard.items() if any(isinstance(event, Token) for event in events)]
    assert answered == ["short"]
    while len(batch):
        batch.step()
    assert all(isinstance(events[-1], Finished) for events in heard.values())


def test_a_thought_limit_ends_a_thought_that_has_begun_and_no_other():
    import mlx.core as mx

    from local_ai.engine.core.decoding.constraint import ReasoningLimit

    def likeliest(limit: ReasoningLimit, generated: list[int]) -> int:
        return int(mx.argmax(limit(mx.array([1, *generated]), mx.zeros((1, 9))), axis=-1).item())

    begun = ReasoningLimit(2, None, [7, 8], 1)
    assert [likeliest(begun, [3] * count) for count in (1, 2, 3, 4)] == [0, 7, 8, 0]
    assert likeliest(ReasoningLimit(2, [6], [7], 1), [6, 3]) == 7
    assert likeliest(ReasoningLimit(2, [6], [7], 1), [3, 3]) == 0
    assert likeliest(ReasoningLimit(2, None, [7], 1), [7, 3]) == 0


def layers(tokens: int) -> list[Any]:
    """Attention state of so many tokens, 2 kB each."""
    import mlx.core as mx
    from mlx_lm.models.cache import KVCache

    layer = KVCache()
    layer.update_and_fetch(mx.zeros((1, 1, tokens, 256)), mx.zeros((1, 1, tokens, 256)))
    return [layer]


def test_memory_recalls_the_longest_beginning_and_leaves_one_token_to_read():
    from local_ai.engine.core.memory.prompt_cache import PromptCache

    memory = PromptCache(10**9)
    memory.remember([1, 2, 3, 4], layers(4))
    memory.remember([1, 2, 9], layers(3))

    for prompt, tokens in (([1, 2, 3, 4, 5], 4), ([1, 2, 3, 4], 3), ([1, 2, 9, 9], 3), ([7], 0), ([1], 0)):
        found = memory.recall(prompt)
        assert found.tokens == tokens, prompt
        assert (found.layers[0].offset if found.layers else 0) == tokens


def test_memory_gives_out_copies():
    from local_ai.engine.core.memory.prompt_cache import PromptCache

    memory = PromptCache(10**9)
    memory.remember([1, 2, 3], layers(3))

    memory.recall([1, 9]).layers[0].trim(1)  # type: ignore[index]

    assert memory.recall([1, 2, 3, 4]).tokens == 3


def test_memory_is_bounded_by_bytes_and_forgets_the_oldest():
    from local_ai.engine.core.memory.prompt_cache import PromptCache

    one = sum(layer.nbytes for layer in layers(4))
    memory = PromptCache(2 * one + 32)  # and their tokens
    for first in (1, 2, 3):
        memory.remember([first, 0, 0, 0], layers(4))

    assert memory.n_bytes <= 2 * one + 32
    assert [memory.recall([first, 0, 0, 0, 0]).tokens for first in (1, 2, 3)] == [0, 4, 4]


def test_prompts_of_several_models_share_one_bound_and_the_oldest_of_all_is_forgotten():
    from local_ai.engine.core.memory.prompt_cache import PromptCache, SharedPrompts

    one = sum(layer.nbytes for layer in layers(4)) + 16
    shared = SharedPrompts(3 * one)
    left, right = PromptCache(3 * one, shared), PromptCache(3 * one, shared)
    for cache, first in ((left, 1), (right, 2), (left, 3)):
        cache.remember([first, 0, 0, 0], layers(4))
    assert left.recall([1, 0, 0, 0, 0]).tokens == 4  # used again, and so the latest

    right.remember([4, 0, 0, 0], layers(4))

    assert shared.n_bytes <= 3 * one
    assert [left.recall([1, 0, 0, 0, 0]).tokens, left.recall([3, 0, 0, 0, 0]).tokens] == [4, 4]
    assert [right.recall([2, 0, 0, 0, 0]).tokens, right.recall([4, 0, 0, 0, 0]).tokens] == [0, 4]
    shared.remove(left)
    assert shared.n_bytes == right.n_bytes


def test_memory_keeps_only_the_longer_of_two_with_one_beginning():
    from local_ai.engine.core.memory.prompt_cache import PromptCache

    memory = PromptCache(10**9)
    memory.remember([1, 2], layers(2))
    memory.remember([1, 2, 3], layers(3))

    assert len(memory) == 1


def test_detokenizer_keeps_the_leading_space_and_whole_characters(loaded: Any):
    from local_ai.engine.core.model.detokenize import Detokenizer

    words = loaded.words
    for text in (" Paris is nice", "caf\u00e9 \U0001f600 ok", "a  b\n\n c"):
        detokenizer = Detokenizer(words, words.encode("one"))
        pieces = [detokenizer.add(token) for token in words.encode(text)] + [detokenizer.finish()]
        assert "".join(pieces) == text
        assert not any("\ufffd" in piece for piece in pieces)


def test_detokenizer_writes_bytes_that_are_no_text_as_decoding_them_all_does(loaded: Any):
    from local_ai.engine.core.model.detokenize import Detokenizer

    words = loaded.words
    assert words.joins_bytes
    face, letter = words.encode("\U0001f600"), words.encode("a")
    for tokens in ([*letter, face[0], *letter, *face], [*face, *letter, *face[1:], *letter]):
        detokenizer = Detokenizer(words, words.encode("one"))
        pieces = [detokenizer.add(token) for token in tokens] + [detokenizer.finish()]
        assert "".join(pieces) == words.decode(tokens)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda f: (f / "config.json").write_text("{"), "config.json cannot be read"),
        (
            lambda f: (f / "config.json").write_text('{"model_type": "x"}'),
            "mlx-lm does not know its model_type 'x'",
        ),
        (
            lambda f: (f / "config.json").write_text('{"model_type": "llama", "model_file": "m.py"}'),
            "it brings Python",
        ),
        (lambda f: (f / "tokenizer.json").unlink(), "it has no tokenizer"),
        (lambda f: (f / "model.safetensors").rename(f / "x.safetensors"), "it has no weights named"),
        (
            lambda f: (f / "model.safetensors").write_bytes(b"\xff" * 99),
            "model.safetensors is not a safetensors file",
        ),
        (
            lambda f: _without(f, "model.norm.weight"),
            "its weights lack model.norm.weight: model-2.safetensors is missing",
        ),
        (
            lambda f: _edit_config(f, num_hidden_layers=1),
            "its config.json describes a model without model.layers.1, which its weights have",
        ),
        (
            lambda f: _edit_config(f, num_hidden_layers=3),
            "its weights lack model.layers.2.input_layernorm.weight, ",
        ),
        (
            lambda f: _edit_config(f, intermediate_size=64),
            "its tensor model.layers.0.mlp.gate_proj.weight has shape (128, 64), "
            "and its config.json describes (64, 64)",
        ),
        (
            lambda f: _add_tensor(f, "model.layers.0.self_attn.q_proj.bias", "ones"),
            "its config.json describes a model without model.layers.0.self_attn.q_proj.bias, which its",
        ),
        (
            lambda f: _edit_config(f, num_hidden_layers=10**9),
            "config.json says num_hidden_layers = 1000000000, and its weights have 21 tensors in all",
        ),
        (
            lambda f: _edit_config(f, text_config={"num_hidden_layers": 10**9}),
            "config.json says num_hidden_layers = 1000000000, and its weights have 21 tensors in all",
        ),
        (
            lambda f: _add_empty(f, "model.layers.0.self_attn.q_proj.bias%d", 100),
            "its config.json describes a model without model.layers.0.self_attn.q_proj.bias0, model.layers",
        ),
        (
            lambda f: (_add_empty(f, "extra.%d", 1000), _edit_config(f, num_hidden_layers=1001)),
            "config.json says num_hidden_layers = 1001, and no model has more than 1000",
        ),
        (
            lambda f: (f / "generation_config.json").write_text('{"eos_token_id": [1, null]}'),
            "generation_config.json says eos_token_id = [1, None], which is neither a number nor a list",
        ),
        (
            lambda f: (f / "generation_config.json").write_text("[" * 100_000),
            "generation_config.json is not an object",
        ),
        (
            lambda f: os.truncate(f / "tokenizer.json", 10**12),  # sparse: it takes no disk space
            "tokenizer.json has 1000.0 GB, and no file of its kind has more than 500 MB",
        ),
    ],
)
def test_check_says_why_a_model_cannot_be_loaded(tmp_path: Path, spoil: Any, why: str):
    from local_ai.engine.core.model.loading import check_model
    from local_ai.serving.errors import ApiError

    folder = make_tiny_model(tmp_path)
    check_model(ModelKey("m", folder), trust_remote_code=False, tokens=0, most_bytes=10**9)
    spoil(folder)

    with pytest.raises(ApiError) as caught:
        check_model(ModelKey("m", folder), trust_remote_code=False, tokens=0, most_bytes=10**9)

    assert caught.value.why.startswith(why)
    assert caught.value.status == 422


def test_weights_of_more_tensors_than_any_model_has_are_refused_by_their_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from local_ai.engine.core.model.loading import check_model
    from local_ai.models import weight_files
    from local_ai.serving.errors import ApiError

    assert weight_files.MOST_TENSORS == 200_000
    monkeypatch.setattr(weight_files, "MOST_TENSORS", 20)

    with pytest.raises(ApiError, match="has 21 tensors, and no model has more than 20"):
        check_model(
            ModelKey("m", make_tiny_model(tmp_path)), trust_remote_code=False, tokens=0, most_bytes=None
        )


def test_check_says_it_where_a_folders_name_is_the_reason(tmp_path: Path):
    from local_ai.engine.core.model.loading import check_model
    from local_ai.serving.errors import ApiError

    folder = make_tiny_model(tmp_path / "m").rename(tmp_path / os.fsdecode(b"caf\xe9"))

    with pytest.raises(ApiError, match="the name of its folder is not UTF-8") as caught:
        check_model(ModelKey("m", folder), trust_remote_code=False, tokens=0, most_bytes=10**9)
    assert caught.value.fix == f"rename the folder {tmp_path}/caf\\xe9"


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer_config.json", "special_tokens_map.json", "tokenizer.json"]
)
def test_a_byte_order_mark_that_the_loader_refuses_is_named_and_its_fix_removes_it(tmp_path: Path, name: str):
    from local_ai.engine.core.model.loading import check_model
    from local_ai.serving.errors import ApiError

    folder = make_tiny_model(tmp_path / "a model")
    key, file = ModelKey("m", folder), folder / name
    if not file.exists():
        file.write_text("{}")
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())

    with pytest.raises(ApiError) as caught:
        check_model(key, trust_remote_code=False, tokens=0, most_bytes=10**9)
    assert caught.value.why.startswith(f"{name} begins with a byte order mark (BOM)")
    subprocess.run(caught.value.command, shell=True, check=True)
    check_model(key, trust_remote_code=False, tokens=0, most_bytes=10**9)


def _edit_config(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


def _without(folder: Path, name: str) -> None:
    """Take a tensor out of a model's weights, whose index has it in a file that is not there."""
    import mlx.core as mx

    weights = dict(mx.load(str(folder / "model.safetensors")))
    del weights[name]
    mx.eval(weights)
    mx.save_safetensors(str(folder / "model.safetensors"), weights)
    index = {"weight_map": {name: "model-2.safetensors", "a": "model.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_a_model_that_needs_more_memory_than_there_is_does_not_fit(tmp_path: Path):
    from local_ai.engine.core.model.loading import check_model
    from local_ai.serving.errors import ApiError

    folder = make_tiny_model(tmp_path / "m")
    size = (folder / "model.safetensors").stat().st_size

    check_model(ModelKey("m", folder), trust_remote_code=False, tokens=0, most_bytes=size)
    with pytest.raises(ApiError) as caught:
        check_model(ModelKey("m", folder), trust_remote_code=False, tokens=0, most_bytes=size - 1)

    assert (caught.value.status, caught.value.code) == (422, "model_not_loadable")


def test_other_threads_have_their_turns_while_a_long_text_is_tokenized(loaded: Any):
    thread = threading.Thread(target=lambda: loaded.words.encode("word " * 100_000))
    began = last = time.perf_counter()
    longest = 0.0

    thread.start()
    while thread.is_alive():
        time.sleep(0.001)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now

    assert longest < (last - began) / 2


def _load(folder: Path) -> None:
    from tests.engine.core.loads import load_model

    load_model(ModelKey("tiny", folder), trust_remote_code=False)


def _check(folder: Path) -> None:
    from local_ai.engine.core.model.loading import check_model

    check_model(ModelKey("tiny", folder), trust_remote_code=False, tokens=1, most_bytes=None)


def _load_beside(folder: Path) -> None:
    model = Model("tiny", folder, 0, 0, "bert", "", None, generates_text=False)
    Embedder(cast(Worker, None), lambda _: model)._loaded_or_load(model)


@pytest.mark.parametrize("make", [make_tiny_model, make_misshapen_model, make_tiny_embedder])
@pytest.mark.parametrize("load", [_load, _check, _load_beside])
def test_loading_leaves_no_random_draws_behind_that_grow_with_every_load(
    tmp_path: Path, make: Callable[[Path], Path], load: Callable[[Path], None]
):
    import mlx.core as mx

    with suppress(ApiError):
        load(make(tmp_path / "tiny"))

    graph = tmp_path / "graph.dot"
    mx.export_to_dot(str(graph), mx.random.state[0])
    assert "Random" not in graph.read_text()


@pytest.mark.parametrize("tokenizer_class", ["PreTrainedTokenizerFast", "LlamaTokenizer"])
def test_a_tokenizer_on_bytes_writes_text_whatever_decoder_its_files_name(
    tmp_path: Path, tokenizer_class: str
):
    from tests.engine.core.loads import load_model

    folder = make_tiny_model(tmp_path)
    stated = json.loads((folder / "tokenizer.json").read_text())
    replaced = {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}
    stated["decoder"] = {
        "type": "Sequence",
        "decoders": [replaced, {"type": "ByteFallback"}, {"type": "Fuse"}],
    }
    (folder / "tokenizer.json").write_text(json.dumps(stated))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"tokenizer_class": tokenizer_class}))

    words = load_model(ModelKey("m", folder), trust_remote_code=False).words

    assert words.decode(words.encode("caf\u00e9 a b")) == "caf\u00e9 a b"


def test_what_loads_is_not_refused_and_end_tokens_of_all_files_count(tmp_path: Path):
    from tests.engine.core.loads import load_model

    from local_ai.engine.core.model.loading import check_model

    folder = make_tiny_model(tmp_path)
    stale = {"a": "model-1-of-2.safetensors", "model.norm.weight": "model.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": stale}))
    (folder / "generation_config.json").write_text('{"eos_token_id": [7, 999999]}')
    config = json.loads((folder / "tokenizer_config.json").read_text())
    template = config.pop("chat_template")
    config |= {"tool_parser_type": "unheard_of", "chat_template_type": "unheard_of"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": template}))

    key = ModelKey("m", folder)
    check_model(key, trust_remote_code=False, tokens=0, most_bytes=10**9)
    words = load_model(key, trust_remote_code=False).words

    assert words.eos == {0, 2, 7}
    assert words.has_template
    assert read_format(folder) == words.format


def _add_tensor(folder: Path, name: str, kind: str = "zeros") -> None:
    import mlx.core as mx

    weights = dict(mx.load(str(folder / "model.safetensors")))
    mx.eval(weights)
    mx.save_safetensors(str(folder / "model.safetensors"), weights | {name: getattr(mx, kind)((2,))})


def _add_empty(folder: Path, name: str, count: int) -> None:
    """Add tensors of no bytes, which cost a hostile folder a line in the header each."""
    file = folder / "model.safetensors"
    raw = file.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    end = len(raw) - start
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [end, end]}
    written = json.dumps(header | {name % number: empty for number in range(count)}).encode()
    file.write_bytes(len(written).to_bytes(8, "little") + written + raw[start:])


def _mark(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, "utf-8-sig")


@pytest.mark.parametrize(
    "change",
    [
        lambda f: (f / "model.safetensors").rename(f / "model-00004-of-00003.safetensors"),
        lambda f: (f / "model.safetensors").rename(f / "model-00000-of-00001.safetensors"),
        lambda f: _add_tensor(f, "model.layers.0.self_attn.rotary_emb.inv_freq"),
        lambda f: _add_tensor(f, "model.layers.2.eh_proj.weight", "ones"),
        lambda f: _add_tensor(f, "model.layers.0.self_attn.q_proj.bias"),
        lambda f: _mark(f, "generation_config.json", '{"eos_token_id": 2}'),
        lambda f: _mark(f, "chat_template.json", "{}"),
        lambda f: _mark(f, "model.safetensors.index.json", '{"weight_map": {}}'),
    ],
    ids=[
        "one of too few",
        "numbered from 0",
        "a tensor of rotation more",
        "a tensor of one more layer",
        "a bias of zeros",
        "BOM of ends",
        "BOM of template",
        "BOM of index",
    ],
)
def test_a_folder_as_it_is_published_loads(tmp_path: Path, change: Any):
    from tests.engine.core.loads import load_model

    from local_ai.engine.core.model.loading import check_model

    folder = make_tiny_model(tmp_path)
    change(folder)

    check_model(ModelKey("m", folder), trust_remote_code=False, tokens=0, most_bytes=10**9)
    assert load_model(ModelKey("m", folder), trust_remote_code=False).words.eos == {0, 2}


@pytest.mark.parametrize("bits", [None, 4], ids=["full", "quantised"])
@pytest.mark.parametrize("family", ["llama", "gemma3_text", "gpt_oss", "qwen3_next", "qwen3_5", "lfm2"])
def test_tensors_without_a_place_are_left_out_and_named_and_change_nothing(
    tmp_path: Path, family: str, bits: int | None, caplog: pytest.LogCaptureFixture
):
    import mlx.core as mx
    from mlx.utils import tree_flatten
    from tests.engine.core.loads import load_model

    from local_ai.engine.core.model.loading import check_model

    key = ModelKey("m", make_tiny_family(tmp_path, family, bits=bits))
    plain: Any = load_model(key, trust_remote_code=False).model
    _add_tensor(tmp_path, "extra.head.weight", "ones")
    _add_tensor(tmp_path, "model.layers.0.self_attn.rotary_emb.inv_freq", "ones")

    check_model(key, trust_remote_code=False, tokens=0, most_bytes=10**9)
    assert caplog.text == ""
    model: Any = load_model(key, trust_remote_code=False).model

    assert "m: " in caplog.text and "left out: " in caplog.text
    assert "extra.head.weight" in caplog.text
    before, after = dict(tree_flatten(plain.parameters())), dict(tree_flatten(model.parameters()))
    assert before.keys() == after.keys()
    assert all(mx.array_equal(before[name], after[name]).item() for name in before)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda f: (f / "adapters.safetensors").unlink(), "has no weights"),
        (lambda f: (f / "adapter_config.json").write_text('{"peft_type": "LORA"}'), "is PEFT's"),
        (
            lambda f: (f / "adapter_config.json").write_text("["),
            "has no adapter_config.json that can be read",
        ),
        (lambda f: _zero_adapter(f), "changes nothing"),
        (
            lambda f: make_tiny_adapter(f, hidden=32),
            "does not fit the model: model.layers.0.self_attn.q_proj.lora_a: adapter shape (32, 4)",
        ),
        (lambda f: _halve_adapter(f), "has half a pair only: model.layers.0.self_attn.q_proj.lora_b"),
    ],
    ids=["no weights", "PEFT's", "no config", "zeros", "other shapes", "half a pair"],
)
def test_an_adapter_that_cannot_serve_is_refused_by_name(tmp_path: Path, spoil: Any, why: str):
    from local_ai.engine.core.model.loading import check_model
    from local_ai.serving.errors import ApiError

    folder, adapter = make_tiny_model(tmp_path / "m"), make_tiny_adapter(tmp_path / "a")
    key = ModelKey("m", folder, adapter)
    check_model(key, trust_remote_code=False, tokens=0, most_bytes=10**9)
    spoil(adapter)

    with pytest.raises(ApiError) as caught:
        check_model(key, trust_remote_code=False, tokens=0, most_bytes=10**9)

    assert caught.value.why.startswith(f"the adapter {adapter} {why}")


def _zero_adapter(folder: Path) -> None:
    import mlx.core as mx

    weights = mx.load(str(folder / "adapters.safetensors"))
    zeros = {name: array * (0 if name.endswith("lora_b") else 1) for name, array in weights.items()}
    mx.save_safetensors(str(folder / "adapters.safetensors"), zeros)


def _halve_adapter(folder: Path) -> None:
    import mlx.core as mx

    weights = dict(mx.load(str(folder / "adapters.safetensors")))
    del weights["model.layers.0.self_attn.q_proj.lora_a"]
    mx.eval(weights)
    mx.save_safetensors(str(folder / "adapters.safetensors"), weights)


@pytest.mark.parametrize("on", ["metal", "cuda"])
@pytest.mark.parametrize("runner", ["Batch", "Sequence"])
def test_warming_leaves_nothing_running_and_answers_as_before(
    loaded: Any, runner: str, on: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    from local_ai.engine.core.decoding.batch import Batch
    from local_ai.engine.core.decoding.sequential import Sequence
    from local_ai.engine.core.decoding.warming import warm
    from local_ai.engine.core.memory.prompt_cache import PromptCache

    monkeypatch.setattr("local_ai.engine.core.decoding.warming.device", lambda: on)
    batch = Batch(loaded, PromptCache(1_000_000)) if runner == "Batch" else Sequence(loaded)
    for _ in warm(batch, loaded):
        pass

    assert len(batch) == 0
    assert "warming failed" not in caplog.text
    assert answer(batch, loaded) == answer(Sequence(loaded), loaded)


def test_answers_that_draw_alike_share_a_sampler():
    from local_ai.engine.core.decoding.sampling import shared_sampler
    from local_ai.engine.core.job import Sampling

    def sampler(**settings: Any) -> Any:
        return shared_sampler(Sampling(**settings), 100)

    assert sampler(temperature=0.7, top_k=5) is sampler(temperature=0.7, top_k=5)
    assert sampler(temperature=0.7, top_k=5) is not sampler(temperature=0.7, top_k=6)
    assert sampler() is sampler(presence_penalty=1.0)
