"""Pictures in a batch: what a model says of them, beside texts, remembered, and as mlx-vlm says it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.engine.core.batches import PLENTY, Heard, finish
from tests.seeing_model import BLIND, QUESTION, colour_picture, names
from tests.tiny_seeing import FAMILIES, make_tiny_seeing
from tests.waits import scaled

from local_ai.engine.core.decoding.prefill import PrefillPace
from local_ai.engine.core.job import ModelKey, Sampling, Token
from local_ai.engine.pictures.picture import Picture
from local_ai.engine.text.conversation import Ask, Limits, Message
from local_ai.engine.text.prompts import FieldNames, prepare


@pytest.fixture(scope="module")
def folder(seeing_model: Path) -> Path:
    return seeing_model


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Any:
    from tests.engine.core.loads import load_model

    return load_model(ModelKey("seeing", folder), trust_remote_code=False)


@pytest.fixture
def batch(loaded: Any) -> Any:
    return make_batch(loaded)


def make_batch(loaded: Any, **options: Any) -> Any:
    from local_ai.engine.core.decoding.batch import Batch
    from local_ai.engine.core.memory.guard import MemoryGuard
    from local_ai.engine.core.memory.prompt_cache import PromptCache

    return Batch(loaded, PromptCache(10**9), MemoryGuard(lambda: PLENTY, 0), **options)


def picture(colour: str, *, side: int = 48, seed: int = 1000) -> Picture:
    drawn = colour_picture(colour, side=side, seed=seed)
    return Picture(drawn.tobytes(), drawn.width, drawn.height, "messages[0].content[0]")


def user(*parts: str | Picture) -> Message:
    texts = [part for part in parts if isinstance(part, str)]
    return Message("user", "\n".join(texts), parts=parts if len(texts) < len(parts) else ())


def asked(loaded: Any, messages: Sequence[Message], **options: Any) -> Any:
    return prepare(Ask(tuple(messages), **options), loaded.words, names=FieldNames()).job


def ask(batch: Any, loaded: Any, messages: Sequence[Message], **options: Any) -> Heard:
    from local_ai.engine.core.tasks import Request

    heard = Heard()
    batch.add(Request(asked(loaded, messages, **options), heard.events.append))
    return heard


def answer(batch: Any, loaded: Any, messages: Sequence[Message], **options: Any) -> Heard:
    heard = ask(batch, loaded, messages, **options)
    finish(batch)
    assert heard.error is None, heard.error
    return heard


def tokens_of(heard: Heard) -> list[int]:
    return [event.chosen.token for event in heard.events if isinstance(event, Token) and event.chosen]


def first_logprob(heard: Heard) -> float:
    return next(event.chosen.logprob for event in heard.events if isinstance(event, Token) and event.chosen)


def test_pictures_and_texts_are_answered_in_one_batch_by_what_they_show(batch: Any, loaded: Any):
    shown = [("red",), ("blue",), ("green", "red"), ("yellow", "blue")]
    heard = [ask(batch, loaded, [user(*map(picture, colours), QUESTION)]) for colours in shown]
    blind = ask(batch, loaded, [user(QUESTION)])

    finish(batch)

    assert [each.text for each in heard] == [names(*colours) for colours in shown]
    assert blind.text == BLIND


def test_a_later_turn_reuses_a_picture_and_another_picture_of_its_size_does_not(batch: Any, loaded: Any):
    first = user(picture("red"), QUESTION)
    said = answer(batch, loaded, [first])
    later = [first, Message("assistant", said.text), user(picture("blue"), QUESTION)]

    again, other = answer(batch, loaded, later), answer(batch, loaded, [user(picture("green"), QUESTION)])

    assert again.text == names("blue")
    end = asked(loaded, later).pictures[0].end
    assert again.started.cached > end
    assert other.text == names("green")
    assert other.started.cached < end
    assert batch.sight.looked == 3


def test_the_same_picture_is_looked_at_once(batch: Any, loaded: Any):
    two = [ask(batch, loaded, [user(picture("red"), picture("red"), QUESTION)]) for _ in range(2)]

    finish(batch)

    assert [each.error for each in two] == [None, None]
    assert batch.sight.looked == 1


def test_rows_that_were_given_back_are_made_again(loaded: Any, batch: Any):
    question = [user(picture("red"), picture("blue"), QUESTION)]
    from local_ai.engine.core.vision.sight import Sight

    batch.sight = Sight(loaded.model, max_bytes=0)
    batch._memory.max_bytes = 0

    said = [answer(batch, loaded, question).text for _ in range(2)]

    assert said == [names("red", "blue")] * 2
    assert batch.sight.looked == 4
    assert loaded.model.table.rows is None


def test_a_cancelled_prompt_gives_its_rows_back_and_leaves_the_others_theirs(batch: Any, loaded: Any):
    from local_ai.engine.core.tasks import Request

    gone = Request(asked(loaded, [user(picture("red"), QUESTION)]), lambda event: None)
    batch.add(gone)
    stays = ask(batch, loaded, [user(picture("blue"), QUESTION)])
    while not stays.events:
        batch.step()

    gone.is_given_up = True
    finish(batch)

    assert stays.text == names("blue")
    assert loaded.model.table.rows is None


def test_penalties_seeds_and_grammars_hold_beside_pictures(batch: Any, loaded: Any):
    question = [user(picture("red"), QUESTION)]
    schema = '{"enum": ["green", "yellow"]}'
    drawn = {"temperature": 1.0, "top_p": 0.9, "seed": 7, "repetition_penalty": 1.1, "presence_penalty": 0.5}

    penalised = [ask(batch, loaded, question, sampling=Sampling(**drawn)) for _ in range(2)]
    forced = ask(batch, loaded, question, schema=schema)
    finish(batch)

    assert penalised[0].error is None
    assert penalised[0].text == penalised[1].text
    assert forced.text in ('"green"', '"yellow"')


def test_a_mark_that_people_write_is_text(batch: Any, loaded: Any):
    job = asked(loaded, [user("<image> is a tag", picture("red"), "<image>")])

    assert len(job.pictures) == 1
    assert [token for token in job.prompt if token == loaded.model.image_token] == [
        loaded.model.image_token
    ] * 2


def test_answers_are_token_by_token_those_of_mlx_vlm(batch: Any, loaded: Any):
    compare_with_mlx_vlm(batch, loaded)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_answers_as_by_mlx_vlm_in_a_batch_and_from_memory(tmp_path: Path, family: str):
    from tests.engine.core.loads import load_model

    model = load_model(ModelKey(family, make_tiny_seeing(tmp_path, family)), trust_remote_code=False)
    batch = make_batch(model)

    compare_with_mlx_vlm(batch, model)

    # Computed one by one; this one has no tower.
    assert batch.sight._tower.layers >= 2 or family == "gemma4_unified"


def test_a_picture_of_many_tiles_is_looked_at_tile_by_tile_while_answers_grow(tmp_path: Path):
    from tests.engine.core.loads import load_model

    tiled = {"do_image_splitting": True, "size": {"longest_edge": 96}}
    model = load_model(ModelKey("m", make_tiny_seeing(tmp_path, "smolvlm", **tiled)), trust_remote_code=False)
    batch = make_batch(model)
    options: dict[str, Any] = {"logprobs": 0, "limits": Limits(max_tokens=8)}
    growing = ask(batch, model, [user("the quick brown fox")], logprobs=0, limits=Limits(max_tokens=40))
    while not tokens_of(growing):
        batch.step()
    shown = [user(picture("red", side=100), "one two")]

    seen = ask(batch, model, shown, **options)
    before = len(tokens_of(growing))
    while not seen.events:
        batch.step()
    meanwhile = len(tokens_of(growing)) - before
    finish(batch)

    assert meanwhile >= 9  # tiles
    assert tokens_of(seen) == _by_mlx_vlm(model, shown)


class SmallPieces(PrefillPace):
    """Reads prompts three tokens at a time."""

    def piece(self, reading: Sequence[int], *, company: bool) -> int:
        return 3


@pytest.mark.parametrize("is_memory_short", [False, True])
def test_a_picture_whose_places_attend_to_later_ones_is_read_in_one_piece(
    is_memory_short: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from tests.engine.core.loads import load_model

    from local_ai.engine.core.decoding import batch as module

    model = load_model(ModelKey("m", make_tiny_seeing(tmp_path, "gemma4_31b")), trust_remote_code=False)
    batch = make_batch(model)
    if is_memory_short:
        monkeypatch.setattr(batch._guard, "readable", lambda need, tokens: 3)
        monkeypatch.setattr(module, "_LEAST_PIECE", 3)
    else:
        batch._pace = SmallPieces(3)
    shown = [user("fox", picture("red"), "one two", picture("green", side=70), "three")]

    said = answer(batch, model, shown, logprobs=0, limits=Limits(max_tokens=8))

    assert tokens_of(said) == _by_mlx_vlm(model, shown)


def test_answers_grow_between_the_layers_of_a_tower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from tests.engine.core.loads import load_model

    from local_ai.engine.core.vision import sight

    monkeypatch.setattr(sight, "_STEP_S", 0.0)
    model = load_model(ModelKey("m", make_tiny_seeing(tmp_path, "qwen2_vl")), trust_remote_code=False)
    batch = make_batch(model)
    options: dict[str, Any] = {"logprobs": 0, "limits": Limits(max_tokens=8)}
    growing = ask(batch, model, [user("the quick brown fox")], logprobs=0, limits=Limits(max_tokens=40))
    while not tokens_of(growing):
        batch.step()
    shown = [user(picture("red", side=100), "one two")]

    seen = ask(batch, model, shown, **options)
    before = len(tokens_of(growing))
    while not batch.sight.looked:
        batch.step()
    meanwhile = len(tokens_of(growing)) - before
    finish(batch)

    assert meanwhile >= batch.sight._tower.layers >= 2
    assert tokens_of(seen) == _by_mlx_vlm(model, shown)


def compare_with_mlx_vlm(batch: Any, loaded: Any) -> None:
    """Have it answer conversations side by side, then go on with the one that shows most."""
    conversations = [
        [user(picture("red", side=64), "What is the capital of France?")],
        [user(picture("green", side=120), "one", picture("blue", side=70), "two three")],
        [user("the quick brown fox jumps over the lazy dog " * 12)],  # more than a window holds
        [user(picture("blue", side=64), "What is the capital of France?")],
    ]
    options: dict[str, Any] = {"logprobs": 0, "limits": Limits(max_tokens=8)}
    heard = [ask(batch, loaded, each, **options) for each in conversations]
    finish(batch)
    later = [*conversations[1], Message("assistant", "red"), user("fox", picture("yellow", side=90))]
    continued = answer(batch, loaded, later, **options)

    for each, conversation in zip(heard, conversations, strict=True):
        assert tokens_of(each) == _by_mlx_vlm(loaded, conversation)
    assert first_logprob(heard[0]) != first_logprob(heard[3])  # another picture, another state
    assert tokens_of(continued) == _by_mlx_vlm(loaded, later)
    assert continued.started.cached > asked(loaded, later).pictures[1].end


def _by_mlx_vlm(loaded: Any, conversation: list[Message], most: int = 8) -> list[int]:
    from mlx_vlm.generate import generate_step
    from mlx_vlm.utils import prepare_inputs
    from PIL import Image

    eyes = loaded.words.eyes
    shown = [part for message in conversation for part in message.parts if isinstance(part, Picture)]
    images = [Image.frombytes("RGB", (each.width, each.height), each.rgb) for each in shown]
    messages = [
        {
            "role": message.role,
            "content": [
                {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}
                for part in message.parts or (message.text,)
            ],
        }
        for message in conversation
    ]
    text = eyes._tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    made = prepare_inputs(eyes._processor, images=images or None, prompts=text)
    ids, mask = made.pop("input_ids"), made.pop("attention_mask")
    tokens: list[int] = []
    for token, _ in generate_step(
        ids, loaded.model.whole, made.pop("pixel_values", None), mask, max_tokens=most, temperature=0, **made
    ):
        if int(token) in loaded.words.eos:
            break
        tokens.append(int(token))
    return tokens


@pytest.mark.parametrize("family", ["gemma4_31b", "glm4v", "qwen2_5_vl", "qwen3_5"])
def test_a_picture_is_known_again_in_another_process_and_another_picture_is_not(tmp_path: Path, family: str):
    """Positions that pictures move are right after what was read from disk."""
    from tests.engine.core.loads import load_model

    folder = make_tiny_seeing(tmp_path / "model", family)
    model = load_model(ModelKey("m", folder), trust_remote_code=False)
    options: dict[str, Any] = {"logprobs": 0, "limits": Limits(max_tokens=8)}
    shown = [user(picture("red"), "the quick brown fox " * 265), Message("assistant", "red")]
    later = [*shown, user("fox", picture("yellow", side=90))]
    other = [user(picture("green"), "the quick brown fox " * 265), *later[1:]]
    with_disk(model, tmp_path / "prompts", [*shown, user("two")], options)

    again = with_disk(model, tmp_path / "prompts", later, options)
    unlike = with_disk(model, tmp_path / "prompts", other, options)

    assert again.started.cached >= 1024
    assert tokens_of(again) == _by_mlx_vlm(model, later)
    assert unlike.started.cached == 0


def with_disk(loaded: Any, folder: Path, messages: Sequence[Message], options: dict[str, Any]) -> Heard:
    """Answer as a new process does, with nothing in memory and what others left on disk."""
    from local_ai.engine.core.memory.disk_store import DiskStore
    from local_ai.models.prompt_files import DiskCacheSettings

    store = DiskStore(DiskCacheSettings(folder, lambda: 1.0, lambda: 1.0))
    batch = make_batch(loaded, disk=store.open(loaded.words.key, loaded.model))
    heard = answer(batch, loaded, messages, **options)
    assert store.finish(scaled(60))
    return heard
