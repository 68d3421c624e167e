"""Models that see and answer one request at a time: as mlx-vlm's own loop does it, through ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.engine.core.batches import PLENTY, Heard, finish
from tests.engine.core.vision.test_seeing import ask, asked, picture, tokens_of, user
from tests.tiny_lone_families import LONE_FAMILIES
from tests.tiny_seeing import make_tiny_seeing

from local_ai.engine.core.job import ModelKey, Sampling, Token
from local_ai.engine.pictures.picture import Picture
from local_ai.engine.text.conversation import Limits, Message
from local_ai.serving.errors import ApiError

QUESTION = "What is the capital of France?"
SHORT: dict[str, Any] = {"logprobs": 0, "limits": Limits(max_tokens=8)}


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load("llava", tmp_path_factory.mktemp("m"))


def load(family: str, folder: Path) -> Any:
    from tests.engine.core.loads import load_model

    from local_ai.engine.core.residents import spare_compiler

    spare_compiler()
    made = make_tiny_seeing(folder / family, family, made=LONE_FAMILIES.get(family))
    return load_model(ModelKey(family, made), trust_remote_code=False)


def sequence(loaded: Any) -> Any:
    from local_ai.engine.core.decoding.sequential import Sequence as OneAnswer
    from local_ai.engine.core.memory.guard import MemoryGuard

    return OneAnswer(loaded, MemoryGuard(lambda: PLENTY, 0))


def answer(running: Any, loaded: Any, messages: Sequence[Message], **options: Any) -> Heard:
    heard: Heard = ask(running, loaded, messages, **{**SHORT, **options})
    finish(running)
    assert heard.error is None, heard.error
    return heard


@pytest.mark.parametrize("family", LONE_FAMILIES)
def test_answers_are_token_by_token_those_of_mlx_vlm(tmp_path: Path, family: str):
    loaded = load(family, tmp_path)
    running = sequence(loaded)

    assert loaded.words.sees
    assert not loaded.batchable
    compare_with_mlx_vlm(running, loaded)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "gemma3"])
def test_a_family_with_a_module_of_its_own_answers_so_too(
    tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch
):
    """The two ways check each other: positions that pictures move, and layers with a window."""
    monkeypatch.setattr("local_ai.engine.core.vision.loading.FAMILIES", frozenset())
    loaded = load(family, tmp_path)

    compare_with_mlx_vlm(sequence(loaded), loaded)


def likelihoods(heard: Heard) -> list[float]:
    return [event.chosen.logprob for event in heard.events if isinstance(event, Token) and event.chosen]


def compare_with_mlx_vlm(running: Any, loaded: Any) -> None:
    conversations = [
        [user(picture("red", side=64), QUESTION)],
        [user(picture("blue", side=64), QUESTION)],
        [user("the quick brown fox jumps over the lazy dog " * 11 + "end")],
    ]
    if not loaded.words.eyes.takes_one:
        both = user(picture("green", side=120), "one", picture("blue", side=70), "two three")
        later = user("fox", picture("yellow", side=90))
        conversations += [[both], [both, Message("assistant", "red"), later]]

    heard = [answer(running, loaded, each) for each in conversations]

    said = [tokens_of(each) for each in heard]
    assert said == [_by_mlx_vlm(loaded, each) for each in conversations]
    # A tiny PaliGemma repeats the prompt's last token: its head is its embeddings.
    assert likelihoods(heard[0]) != likelihoods(heard[1]) or loaded.words.key.id == "paligemma"


def test_a_long_prompt_is_read_in_pieces_and_given_up_between_two(
    llava: Any, monkeypatch: pytest.MonkeyPatch
):
    from local_ai.engine.core.job import Progress
    from local_ai.engine.core.tasks import Request

    monkeypatch.setattr("local_ai.engine.core.vision.lone_model._PIECE_TOKENS", 16)
    running = sequence(llava)
    long = [user(picture("red"), "the quick brown fox " * 20)]
    whole = answer(running, llava, long)
    gone = Heard()
    request = Request(asked(llava, long, **SHORT), gone.events.append)
    running.add(request)
    while sum(isinstance(event, Progress) for event in gone.events) < 3:
        running.step()

    request.is_given_up = True
    finish(running)

    assert not gone.has_ended
    assert not tokens_of(gone)
    assert tokens_of(whole) == _by_mlx_vlm(llava, long) == tokens_of(answer(running, llava, long))


def test_penalties_seeds_and_grammars_hold_beside_pictures(llava: Any):
    question = [user(picture("red"), QUESTION)]
    drawn = {"temperature": 1.0, "top_p": 0.9, "seed": 7, "repetition_penalty": 1.1, "presence_penalty": 0.5}
    running = sequence(llava)

    penalised = [answer(running, llava, question, sampling=Sampling(**drawn)).text for _ in range(2)]
    forced = answer(running, llava, question, schema='{"enum": ["green", "yellow"]}')

    assert penalised[0] == penalised[1]
    assert forced.text in ('"green"', '"yellow"')


def test_a_mark_that_people_write_is_text(llava: Any):
    shown = [user("<image> is a tag", picture("red"), "<|image_start|><image>")]

    marks = [
        token for token in asked(llava, shown).prompt if token == llava.model.whole.config.image_token_index
    ]

    assert marks == [marks[0]] * _places(llava, shown)


def _places(loaded: Any, shown: list[Message]) -> int:
    """Count the places of the first picture alone."""
    (only,) = [part for part in shown[0].parts if isinstance(part, Picture)]
    prompt = asked(loaded, [user(only)]).prompt
    return prompt.count(loaded.model.whole.config.image_token_index)


def test_a_second_picture_is_refused_where_a_family_takes_one(tmp_path: Path):
    loaded = load("llava_next", tmp_path)

    with pytest.raises(ApiError) as refused:
        asked(loaded, [user(picture("red"), picture("blue"), QUESTION)])

    assert refused.value.status == 400
    assert refused.value.why == (
        "pictures cannot be shown to 'llava_next': it takes one picture in a conversation, and there are 2"
    )


def test_code_that_a_processor_brings_is_never_run(tmp_path: Path):
    from tests.engine.core.loads import load_model

    folder = make_tiny_seeing(tmp_path / "m", "llava", made=LONE_FAMILIES["llava"])
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    for name in ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json"):
        file = folder / name
        auto = dict.fromkeys(("AutoProcessor", "AutoImageProcessor"), "own.Processor")
        file.write_text(file.read_text().replace("{", f'{{"auto_map": {auto}, '.replace("'", '"'), 1))

    load_model(ModelKey("m", folder), trust_remote_code=False)

    assert not (tmp_path / "ran").exists()


def _by_mlx_vlm(loaded: Any, conversation: list[Message], most: int = 8) -> list[int]:
    """Answer by mlx-vlm alone: its templates, its processor, its loop."""
    from mlx_vlm.generate import generate_step
    from mlx_vlm.prompt_utils import apply_chat_template
    from mlx_vlm.utils import prepare_inputs
    from PIL import Image

    processor, model = loaded.words.eyes._processor, loaded.model.whole
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
    text: Any = apply_chat_template(processor, model.config, messages, num_images=len(images))
    text = text["content"] if isinstance(text, dict) else text
    if images and model.config.model_type == "llava":  # its `prepare_inputs` fails with transformers 5.24
        made: Any = dict(processor(images=images, text=text))
    else:
        made = prepare_inputs(processor, images=images or None, prompts=text)
    ids, mask = made.pop("input_ids"), made.pop("attention_mask", None)
    tokens: list[int] = []
    for token, _ in generate_step(
        ids, model, made.pop("pixel_values", None), mask, max_tokens=most, temperature=0, **made
    ):
        if int(token) in loaded.words.eos:
            break
        tokens.append(int(token))
    return tokens
