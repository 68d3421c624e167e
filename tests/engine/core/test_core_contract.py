"""What we rely on in mlx-lm's batching core, one behaviour a test: after an upgrade, this says what broke."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.tiny_model import make_tiny_model

pytestmark = pytest.mark.integration  # importing mlx-lm takes seconds

PROMPT = [5, 70, 71, 72, 73, 74, 75, 76, 77, 78]


class Core:
    """mlx-lm, imported late, with one tiny model."""

    def __init__(self, folder: Path) -> None:
        import mlx.core as mx
        from mlx_lm.generate import BatchGenerator, StopSequences
        from mlx_lm.utils import load

        from local_ai.engine.core.residents import spare_compiler

        spare_compiler()  # as the engine does: the tests need no g++ either
        self.mx = mx
        self.Generator = BatchGenerator
        self.StopSequences = StopSequences
        self.model, self.tokenizer = load(str(make_tiny_model(folder, thinking=True, tools=True)))

    def generator(self, **options: Any) -> Any:
        return self.Generator(self.model, stream=self.mx.default_stream(self.mx.default_device()), **options)

    def greedy(self) -> Any:
        return lambda logprobs: self.mx.argmax(logprobs, axis=-1)

    def always(self, token: int) -> Any:
        return lambda logprobs: self.mx.array([token])

    def insert(self, generator: Any, prompt: list[int] = PROMPT, **options: Any) -> int:
        options = {"samplers": [self.greedy()], "logits_processors": [[_keep]], "max_tokens": [6]} | options
        (uid,) = generator.insert_segments(segments=[[list(prompt)]], **options)
        return int(uid)

    def finish(self, generator: Any) -> dict[int, list[Any]]:
        """Run until nothing is left; return each request's token responses."""
        answers: dict[int, list[Any]] = {}
        while True:
            prompts, tokens = generator.next()
            if not prompts and not tokens:
                return answers
            for token in tokens:
                answers.setdefault(token.uid, []).append(token)

    def answer(self, prompt: list[int] = PROMPT, **options: Any) -> list[Any]:
        generator = self.generator()
        uid = self.insert(generator, prompt, **options)
        return self.finish(generator)[uid]


def _keep(_tokens: Any, logits: Any) -> Any:
    return logits


def ids(answer: list[Any]) -> list[int]:
    return [response.token for response in answer]


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Core]:
    yield Core(tmp_path_factory.mktemp("core"))


def test_max_tokens_are_exact_and_the_last_has_the_reason(core: Core):
    answer = core.answer(max_tokens=[4])

    assert len(answer) == 4
    assert [response.finish_reason for response in answer] == [None, None, None, "length"]


def test_an_end_token_stops_and_is_reported(core: Core):
    stops = core.StopSequences([(9,)])

    answer = core.answer(samplers=[core.always(9)], stop_sequences=[stops])

    assert [(r.token, r.finish_reason) for r in answer] == [(9, "stop")]


def test_a_finished_answer_hands_over_a_cache_of_all_its_tokens(core: Core):
    last = core.answer()[-1]

    assert last.all_tokens[: len(PROMPT)] == PROMPT
    assert all(layer.offset == len(last.all_tokens) for layer in last.prompt_cache)


def test_going_on_from_a_trimmed_copy_of_a_cache_changes_nothing(core: Core):
    from mlx_lm.models.cache import can_trim_prompt_cache, trim_prompt_cache

    cold = core.answer()
    layers = copy.deepcopy(cold[-1].prompt_cache)
    assert can_trim_prompt_cache(layers)
    trim_prompt_cache(layers, len(cold[-1].all_tokens) - 7)

    warm = core.answer(PROMPT[7:], caches=[layers], all_tokens=[PROMPT[:7]])

    assert ids(warm) == ids(cold)
    assert warm[-1].all_tokens == cold[-1].all_tokens
    assert cold[-1].prompt_cache[0].offset == len(cold[-1].all_tokens), "the original was changed"


def test_answers_in_a_batch_equal_those_alone(core: Core):
    prompts = [PROMPT, PROMPT[:3], PROMPT * 5]
    alone = [ids(core.answer(prompt)) for prompt in prompts]
    generator = core.generator()

    uids = [core.insert(generator, prompt) for prompt in prompts]
    together = core.finish(generator)

    assert [ids(together[uid]) for uid in uids] == alone


def test_a_long_prompt_is_read_in_steps_whose_size_may_change(core: Core):
    cold = ids(core.answer(PROMPT * 8))
    generator = core.generator(prefill_step_size=16)
    core.insert(generator, PROMPT * 8)

    first, _ = generator.next()
    generator.prefill_step_size = 32
    second, _ = generator.next()
    answers = core.finish(generator)

    assert [(r.progress, r.end_of_prompt) for r in (*first, *second)] == [
        ((16, 80), False),
        ((48, 80), False),
    ]
    assert ids(*answers.values()) == cold


def test_removing_a_request_hands_over_what_it_has_read(core: Core):
    generator = core.generator(prefill_step_size=16)
    uid = core.insert(generator, PROMPT * 8)
    generator.next()

    ((layers, tokens),) = generator.remove([uid], return_prompt_caches=True).values()

    assert tokens == (PROMPT * 8)[:16]
    assert all(layer.offset == 16 for layer in layers)
    assert core.finish(generator) == {}


def test_processors_see_the_prompt_and_every_token_one_step_ahead(core: Core):
    seen: list[list[int]] = []

    def note(tokens: Any, logits: Any) -> Any:
        seen.append(tokens.tolist())
        return logits

    answer = core.answer(logits_processors=[[note]], max_tokens=[3])

    assert seen[0] == PROMPT
    assert seen[1:] == [PROMPT + ids(answer)[:count] for count in (1, 2, 3)]


def test_a_tokenizer_tells_of_thoughts_and_tools(core: Core):
    tokenizer = core.tokenizer

    assert (tokenizer.think_start, tokenizer.think_end) == ("<think>", "</think>")
    assert (tokenizer.tool_call_start, tokenizer.tool_call_end) == ("<tool_call>", "</tool_call>")
    assert tokenizer.tool_parser('{"name": "f", "arguments": {}}', []) == {"name": "f", "arguments": {}}
    assert set(tokenizer.eos_token_ids) == {0, 2}
    assert tokenizer.has_chat_template


def test_model_types_are_modules_of_mlx_lm(core: Core):
    from mlx_lm.utils import MODEL_REMAPPING, _get_classes

    assert MODEL_REMAPPING["mistral"] == "llama"
    with pytest.raises(ValueError, match="not supported"):
        _get_classes({"model_type": "unheard_of"})


def test_our_filters_choose_as_mlx_lm_s(core: Core):
    """Ours are the same but for being compiled anew for each value."""
    from mlx_lm.sample_utils import apply_min_p, apply_top_k, apply_top_p

    from local_ai.engine.core.decoding.sampling import keep_min_p, keep_top_k, keep_top_p

    logits = core.mx.random.normal((3, 200), key=core.mx.random.key(1))
    logprobs = logits - core.mx.logsumexp(logits, axis=-1, keepdims=True)
    pairs: list[tuple[Any, Any, Any]] = [
        *((keep_top_k, apply_top_k, count) for count in (1, 7, 199)),
        *((keep_top_p, apply_top_p, share) for share in (0.01, 0.5, 0.95)),
        *((keep_min_p, apply_min_p, share) for share in (0.01, 0.5, 1.0)),
    ]

    for ours, theirs, value in pairs:
        kept = ours(logprobs, value)
        assert kept.tolist() == theirs(logprobs, value).tolist(), (ours, value)
        assert kept.dtype == logprobs.dtype
