"""A tiny model that sees: it has learnt to name the colours of pictures, and says so where there is none.

Of mlx-vlm's idefics3, trained on the spot in seconds. What it says is generated like any model's, and of the
picture alone: the questions are the same for all colours.
"""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
from tests.tiny_model import add_token, make_tiny_model

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 30, 30),
    "green": (30, 180, 40),
    "blue": (30, 50, 220),
    "yellow": (240, 220, 40),
}
QUESTION = "What colour is this?"
BLIND = "I see no picture."  # its answer to the question without one

_SIDE, _PATCH, _ROWS = 32, 8, 4  # pixels, pixels, and a picture's places in a prompt
_TOKENS = ("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>")
_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_MOST_STEPS = 600
_GOOD_ENOUGH = 0.003  # mean loss over the tokens of the answers
_GOOD_BATCHES = 6  # in a row
_BATCH = 8  # conversations
_VARIANTS = 6  # of each colour, to learn from
_NOISE = 12  # of 255, in each pixel

Turn = tuple[tuple[str, ...], str]  # the colours of a turn's pictures, and the answer to the question


def names(*colours: str) -> str:
    """What the model says of a turn's pictures."""
    return f"It is {' and '.join(colours)}."


def colour_picture(colour: str, *, side: int = 48, seed: int = 0) -> Any:
    """Draw a picture of one colour.

    Args:
        side: Its width and height, in pixels.
        seed: Another one gives another picture of that colour.

    Returns:
        A `PIL.Image.Image`.
    """
    from PIL import Image

    noise = np.random.default_rng(seed).integers(-_NOISE, _NOISE + 1, (side, side, 3))
    return Image.fromarray(np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8), "RGB")


def train_seeing_model(folder: Path) -> Path:
    """Write a tiny model that names colours: of one picture or two in a turn, in up to two turns.

    Returns:
        `folder`.

    Raises:
        AssertionError: It did not learn that, which would be this module's fault.
    """
    import mlx.core as mx
    import mlx.nn as nn
    import mlx.optimizers
    from mlx.utils import tree_flatten
    from mlx_vlm.utils import load_processor

    from local_ai.engine.core.residents import spare_compiler

    spare_compiler()
    config = _write_files(folder)
    mx.random.seed(0)
    model = _make_model(config)
    processor = load_processor(folder, add_detokenizer=False)
    seen = _Seen(model, processor)
    lessons = _lessons()
    optimizer = mlx.optimizers.Adam(learning_rate=5e-3)

    def loss_of(model: Any, tokens: Any, features: Any, answers: Any) -> Any:
        rows = model.connector(features)
        rows = rows.reshape(-1, rows.shape[-1])
        texts = model.language_model.embed_tokens(tokens)
        embedded = model._prepare_inputs_for_multimodal(rows, texts, tokens)
        logits = model.language_model(tokens, inputs_embeds=embedded).logits.flatten(0, 1)
        return nn.losses.cross_entropy(logits[answers - 1], tokens.flatten()[answers]).mean()

    step = nn.value_and_grad(model, loss_of)
    good = 0
    for number in range(_MOST_STEPS):
        loss, gradients = step(model, *_batch(processor, seen, lessons, seed=number))
        optimizer.update(model, gradients)
        mx.eval(model.parameters(), optimizer.state)
        good = good + 1 if loss.item() < _GOOD_ENOUGH else 0
        if good == _GOOD_BATCHES:
            break
    assert good == _GOOD_BATCHES, f"the tiny model did not learn to see: loss {loss.item()}"
    weights = dict(tree_flatten(model.parameters()))
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    mx.eval(mx.random.state)
    return folder


def _write_files(folder: Path) -> dict[str, Any]:
    make_tiny_model(folder)
    (folder / "model.safetensors").unlink()
    ids = {text: add_token(folder, text) for text in _TOKENS}
    stated = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    own = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    vocabulary = max(ids.values()) + 1
    text = {
        "model_type": "llama",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "max_position_embeddings": 4096,
        "vocab_size": vocabulary,
    }
    eyes = {
        "model_type": "idefics3_vision",
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": _SIDE,
        "patch_size": _PATCH,
    }
    config = {
        "architectures": ["Idefics3ForConditionalGeneration"],
        "model_type": "idefics3",
        "text_config": text,
        "vision_config": eyes,
        "scale_factor": 2,
        "image_token_id": ids["<image>"],
        "vocab_size": vocabulary,
        "eos_token_id": own["eos_token_id"],
        "bos_token_id": own["bos_token_id"],
        "torch_dtype": "float32",
    }
    _write(folder / "config.json", config)
    _write(folder / "tokenizer_config.json", stated | {"chat_template": _TEMPLATE})
    _write(folder / "processor_config.json", {"image_seq_len": _ROWS, "processor_class": "Idefics3Processor"})
    _write(
        folder / "preprocessor_config.json",
        {
            "image_processor_type": "Idefics3ImageProcessor",
            "processor_class": "Idefics3Processor",
            "do_image_splitting": False,
            "size": {"longest_edge": _SIDE},
            "max_image_size": {"longest_edge": _SIDE},
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
        },
    )
    return config


def _make_model(config: dict[str, Any]) -> Any:
    from mlx_vlm.models import idefics3

    arguments = idefics3.ModelConfig.from_dict(config)
    arguments.text_config = idefics3.TextConfig.from_dict(config["text_config"])
    arguments.vision_config = idefics3.VisionConfig.from_dict(config["vision_config"])
    return idefics3.Model(arguments)


def _lessons() -> list[list[Turn]]:
    """List conversations: one turn or two, with a picture in some of them, or two in one."""
    single: list[Turn] = [((colour,), names(colour)) for colour in COLOURS]
    pairs: list[Turn] = [(pair, names(*pair)) for pair in itertools.permutations(COLOURS, 2)]
    blind: Turn = ((), BLIND)
    return [
        *([turn] for turn in single * 3),
        *([turn] for turn in pairs),
        *[[blind]] * 2,
        *([first, second] for first, second in itertools.permutations(single, 2)),
        *([blind, turn] for turn in single),
    ]


class _Seen:
    """What the tower, which stays as it was made, sees in some pictures of each colour."""

    def __init__(self, model: Any, processor: Any) -> None:
        import mlx.core as mx

        pictures = [
            colour_picture(colour, side=(32, 48)[seed % 2], seed=seed)
            for colour in COLOURS
            for seed in range(_VARIANTS)
        ]
        pixels = processor.image_processor([pictures], return_tensors="np")["pixel_values"][0]
        patches = mx.ones((len(pictures), _SIDE // _PATCH, _SIDE // _PATCH), dtype=mx.bool_)
        tower = model.vision_model
        self._features, *_ = tower(mx.array(pixels).transpose(0, 2, 3, 1), patch_attention_mask=patches)
        mx.eval(self._features)

    def of(self, colours: list[str], chance: random.Random) -> Any:
        """Return the features of one picture of each of these colours."""
        import mlx.core as mx

        first = {colour: _VARIANTS * number for number, colour in enumerate(COLOURS)}
        return self._features[mx.array([first[colour] + chance.randrange(_VARIANTS) for colour in colours])]


def _batch(processor: Any, seen: _Seen, lessons: list[list[Turn]], *, seed: int) -> tuple[Any, Any, Any]:
    """Make some lessons into tokens (rows, longest), features, and the answers' places in all rows."""
    import mlx.core as mx

    chance = random.Random(seed)
    rows: list[list[int]] = []
    answers: list[list[int]] = []
    colours: list[str] = []
    for turns in chance.sample(lessons, _BATCH):
        tokens: list[int] = []
        places: list[int] = []
        for shown, answer in turns:
            asked = "<|im_start|>user\n" + _pictures_as_text(len(shown)) + QUESTION
            asked += "<|im_end|>\n<|im_start|>assistant\n"
            for text, is_answer in ((asked, False), (answer + "<|im_end|>", True), ("\n", False)):
                ids = processor.tokenizer.encode(text, add_special_tokens=False)
                places += range(len(tokens), len(tokens) + len(ids)) if is_answer else ()
                tokens += ids
            colours += shown
        rows.append(tokens)
        answers.append(places)
    longest = max(map(len, rows))
    return (
        mx.array([row + [0] * (longest - len(row)) for row in rows]),
        seen.of(colours, chance),
        mx.array([number * longest + place for number, places in enumerate(answers) for place in places]),
    )


def _pictures_as_text(count: int) -> str:
    """Write pictures as the processor does: a picture's places, between marks."""
    edge = "<fake_token_around_image>"
    return (edge + "<global-img>" + "<image>" * _ROWS + edge) * count


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
