"""Tiny random models, made on the spot: whole model folders of a few hundred kilobytes.

They answer nonsense, but with a real tokenizer, a real chat template and real weights, and always the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

Weights = NDArray[np.float32]

_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
_MARKERS = ["<think>", "</think>", "<tool_call>", "</tool_call>"]

_CORPUS = [
    "What is the capital of France? The capital of France is Paris.",
    "system user assistant tool function name arguments true false null",
    'the quick brown fox jumps over the lazy dog {"name": "get_weather", "arguments": {"city": "Paris"}}',
    "one two three four five six seven eight nine ten red green blue yellow",
]

_PLAIN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

# The shape of Qwen's template: what mlx-lm recognises as JSON tool calls.
_TOOLS_TEMPLATE = (
    "{% if tools %}<|im_start|>system\nTools: {% for tool in tools %}{{ tool | tojson }}\n{% endfor %}"
    "<|im_end|>\n{% endif %}"
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "{% for tool_call in message.tool_calls or [] %}{% if tool_call.function %}"
    "{% set tool_call = tool_call.function %}{% endif %}<tool_call>\n"
    '{"name": "{{ tool_call.name }}", "arguments": {{ tool_call.arguments | tojson }}}\n</tool_call>'
    "{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if thinking_model and enable_thinking is defined and enable_thinking %}<think>\n{% endif %}"
    "{% endif %}"
)


def make_tiny_model(
    folder: Path,
    *,
    seed: int = 0,
    context_tokens: int = 4096,
    tools: bool = False,
    thinking: bool = False,
    endless: bool = False,
    layers: int = 2,
    hidden: int = 64,
) -> Path:
    """Write a random llama-like text model.

    Args:
        context_tokens: What its config.json says it can hold.
        tools: Whether its template knows tools, as Qwen's does.
        thinking: Whether it knows `<think>`; its answers then begin inside a thought.
        endless: Whether it always has a likelier token than its last one.

    Returns:
        `folder`, with config.json, model.safetensors, tokenizer.json and tokenizer_config.json.

    Raises:
        FileExistsError: `folder` is a link, to a model that other tests use.
    """
    if folder.is_symlink():
        raise FileExistsError(f"{folder} is a link to a model that other tests use")
    folder.mkdir(parents=True, exist_ok=True)
    template = _TOOLS_TEMPLATE if tools or thinking else _PLAIN_TEMPLATE
    if thinking:
        template = "{% set thinking_model = true %}" + template
    special = _SPECIAL + (_MARKERS[:2] if thinking else []) + (_MARKERS[2:] if tools else [])
    vocabulary = _write_tokenizer(folder, special, template, context_tokens)
    heads = 4
    config: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads // 2,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "max_position_embeddings": context_tokens,
        "vocab_size": vocabulary,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": [2, 0],
        "torch_dtype": "float32",
    }
    _write_json(folder / "config.json", config)
    weights = _llama_weights(config, seed)
    if endless:
        weights["lm_head.weight"][config["eos_token_id"]] = 0
    save_file(weights, folder / "model.safetensors", metadata={"format": "mlx"})
    return folder


def add_token(folder: Path, text: str) -> int:
    """Teach a model's tokenizer one more token, of which its weights know nothing; return its id."""
    file = folder / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.add_special_tokens([text])
    tokenizer.save(str(file))
    token = tokenizer.token_to_id(text)
    assert token is not None
    return token


def make_tiny_embedder(folder: Path, *, seed: int = 0, hidden: int = 32) -> Path:
    """Write a random BERT-like embedding model."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = _write_bert_tokenizer(folder)
    config: dict[str, Any] = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "vocab_size": vocabulary,
        "layer_norm_eps": 1e-12,
        "hidden_act": "gelu",
        "pad_token_id": 0,
    }
    _write_json(folder / "config.json", config)
    save_file(_bert_weights(config, seed), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def make_tiny_adapter(folder: Path, *, seed: int = 0, layers: int = 2, hidden: int = 64) -> Path:
    """Write a random LoRA adapter for a tiny text model."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    rank, part = 4, "self_attn.q_proj"
    parameters = {"rank": rank, "scale": 20.0, "dropout": 0.0, "keys": [part]}
    config = {"fine_tune_type": "lora", "num_layers": layers, "lora_parameters": parameters}
    _write_json(folder / "adapter_config.json", config)
    weights: dict[str, Weights] = {}
    for layer in range(layers):
        for name, shape in (("lora_a", (hidden, rank)), ("lora_b", (rank, hidden))):
            weights[f"model.layers.{layer}.{part}.{name}"] = random.standard_normal(shape).astype(np.float32)
    save_file(weights, folder / "adapters.safetensors")
    return folder


def _write_tokenizer(folder: Path, special: list[str], template: str, context_tokens: int) -> int:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<|im_start|>",
            "eos_token": "<|im_end|>",
            "unk_token": "<|endoftext|>",
            "pad_token": "<|im_end|>",
            "model_max_length": context_tokens,
            "clean_up_tokenization_spaces": False,
            "chat_template": template,
        },
    )
    return int(tokenizer.get_vocab_size())


def _write_bert_tokenizer(folder: Path) -> int:
    words = sorted({word.strip(".?,").lower() for line in _CORPUS for word in line.split()} - {""})
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + c for c in letters)]
    tokens = list(dict.fromkeys(tokens + words))
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    _write_json(folder / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "do_lower_case": True})
    return len(tokens)


def _llama_weights(config: dict[str, Any], seed: int) -> dict[str, Weights]:
    random = np.random.default_rng(seed)
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    kv = hidden * config["num_key_value_heads"] // config["num_attention_heads"]

    def matrix(rows: int, columns: int) -> Weights:
        values: Weights = (random.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)
        return values

    weights = {
        "model.embed_tokens.weight": matrix(config["vocab_size"], hidden) * 4,
        # Not tied to the embeddings: a random model would repeat its last token for ever.
        "lm_head.weight": matrix(config["vocab_size"], hidden) * 4,
        "model.norm.weight": np.ones(hidden, np.float32),
    }
    for layer in range(config["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        weights |= {
            at + "input_layernorm.weight": np.ones(hidden, np.float32),
            at + "post_attention_layernorm.weight": np.ones(hidden, np.float32),
            at + "self_attn.q_proj.weight": matrix(hidden, hidden),
            at + "self_attn.k_proj.weight": matrix(kv, hidden),
            at + "self_attn.v_proj.weight": matrix(kv, hidden),
            at + "self_attn.o_proj.weight": matrix(hidden, hidden),
            at + "mlp.gate_proj.weight": matrix(inner, hidden),
            at + "mlp.up_proj.weight": matrix(inner, hidden),
            at + "mlp.down_proj.weight": matrix(hidden, inner),
        }
    return weights


def _bert_weights(config: dict[str, Any], seed: int) -> dict[str, Weights]:
    random = np.random.default_rng(seed)
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    weights: dict[str, Weights] = {}

    def matrix(name: str, rows: int, columns: int) -> None:
        weights[name + ".weight"] = (random.standard_normal((rows, columns)) / 4).astype(np.float32)

    def linear(name: str, rows: int, columns: int) -> None:
        matrix(name, rows, columns)
        weights[name + ".bias"] = np.zeros(rows, np.float32)

    def norm(name: str) -> None:
        weights[name + ".weight"] = np.ones(hidden, np.float32)
        weights[name + ".bias"] = np.zeros(hidden, np.float32)

    matrix("embeddings.word_embeddings", config["vocab_size"], hidden)
    matrix("embeddings.position_embeddings", config["max_position_embeddings"], hidden)
    matrix("embeddings.token_type_embeddings", config["type_vocab_size"], hidden)
    norm("embeddings.LayerNorm")
    for layer in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{layer}."
        for part in ("query", "key", "value"):
            linear(f"{at}attention.self.{part}", hidden, hidden)
        linear(at + "attention.output.dense", hidden, hidden)
        norm(at + "attention.output.LayerNorm")
        linear(at + "intermediate.dense", inner, hidden)
        linear(at + "output.dense", hidden, inner)
        norm(at + "output.LayerNorm")
    linear("pooler.dense", hidden, hidden)
    return weights


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
