"""Models of random weights, made on the spot: `python -m benchmarks.random_model SHAPE FOLDER`.

How fast a model generates depends on its shape alone, so no weights need to be fetched. Such a model never
ends an answer by itself: its end token is never the likeliest.
"""

from __future__ import annotations

import argparse
import itertools
import json
import string
from dataclasses import dataclass
from pathlib import Path

_END, _USER, _ASSISTANT = "<|end|>", "<|user|>", "<|assistant|>"
_TEMPLATE = (
    "{% for message in messages %}<|user|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@dataclass(frozen=True)
class Shape:
    """A Llama's shape."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    vocabulary: int
    dtype: str

    def config(self) -> dict[str, object]:
        """Write its config.json."""
        return {
            "model_type": "llama",
            "architectures": ["LlamaForCausalLM"],
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.hidden // self.heads,
            "vocab_size": self.vocabulary,
            "rms_norm_eps": 1e-5,
            "rope_theta": 500_000.0,
            "max_position_embeddings": 8192,
            "tie_word_embeddings": False,
            "eos_token_id": 0,
            "torch_dtype": self.dtype,
        }


SHAPES = {
    "8b": Shape(32, 4096, 14_336, 32, 8, 128_256, "bfloat16"),  # Llama 3.1 8B's
    # On two slow cores its step takes as long as a large model's on a fast card.
    "tiny": Shape(4, 128, 384, 4, 2, 4096, "float32"),
}


def write_model(folder: Path, shape: Shape) -> None:
    """Write a model with random weights, and a tokenizer of made-up words."""
    import mlx.core as mx
    from mlx.utils import tree_flatten
    from mlx_lm.models.llama import Model, ModelArgs

    folder.mkdir(parents=True, exist_ok=True)
    mx.random.seed(1)
    model = Model(ModelArgs.from_dict(shape.config()))
    model.set_dtype(getattr(mx, shape.dtype))
    model.lm_head.weight[0] = 0  # the end's: some other token is always above it
    # A layer in each file: neither the card nor the machine then holds all of it twice.
    groups: dict[str, dict[str, mx.array]] = {}
    for name, array in tree_flatten(model.parameters()):
        parts = name.split(".")
        groups.setdefault(parts[2] if "layers" in parts else parts[-2], {})[name] = array
    for number, arrays in enumerate(groups.values(), 1):
        mx.save_safetensors(str(folder / f"model-{number:05}-of-{len(groups):05}.safetensors"), arrays)
    (folder / "config.json").write_text(json.dumps(shape.config()))
    _write_tokenizer(folder, shape.vocabulary)


def _write_tokenizer(folder: Path, vocabulary: int) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    marks = [_END, _USER, _ASSISTANT]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = (
        "Ġ" + "".join(word)
        for size in (2, 3, 4)
        for word in itertools.product(string.ascii_lowercase, repeat=size)
    )
    tokens = [*marks, *letters, *itertools.islice(words, vocabulary - len(marks) - len(letters))]
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(mark, special=True) for mark in marks])
    tokenizer.save(str(folder / "tokenizer.json"))
    stated = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": _END, "chat_template": _TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(stated))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("folder", type=Path)
    wanted = parser.parse_args()
    write_model(wanted.folder, SHAPES[wanted.shape])
