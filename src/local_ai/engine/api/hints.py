"""Hints for a field that does not exist here: by its meaning elsewhere, then by its spelling.

Source: the request fields of vLLM, llama.cpp's server, Ollama, mlx_lm.server, Text Generation Inference and
OpenRouter, and each dialect's names for what another one calls otherwise.
"""

import difflib
from collections.abc import Callable, Iterable

_MOST_OF_A_NAME = 80  # characters that are looked for
_CUTOFF = 0.7
_SQUASHED_CUTOFF = 0.9
_WORD_CUTOFF = 0.6

_LONGEST = ("max_completion_tokens", "max_output_tokens", "max_tokens", "num_predict")
_STOP = ("stop", "stop_sequences")
_SHAPE = ("response_format", "text", "output_config", "format")
_CONVERSATION = ("messages", "input", "prompt")
_THINKING = ("reasoning_effort", "reasoning", "thinking", "think")
# What it is called elsewhere, and what it may be called here.
_MEANT: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("max_new_tokens", "n_predict", "max_length", *_LONGEST), _LONGEST),
    **dict.fromkeys(("stop_words", "stop_strings", "stop_token_ids", *_STOP), _STOP),
    **dict.fromkeys(
        ("json_schema", "grammar", "schema", "guided_json", "guided_regex", "guided_choice",
         "guided_grammar", "structured_outputs", "output_format", *_SHAPE),
        _SHAPE,
    ),
    **dict.fromkeys(("system", "instructions"), ("system", "instructions", "messages")),
    **dict.fromkeys(_CONVERSATION, _CONVERSATION),
    "enable_thinking": ("chat_template_kwargs", *_THINKING),
    **dict.fromkeys(
        ("thinking_budget", "reasoning_budget", "thinking_token_budget", "effort",
         "reasoning_format", "include_reasoning", *_THINKING),
        _THINKING,
    ),
    **dict.fromkeys(("repeat_penalty", "repetition_penalty"), ("repetition_penalty", "repeat_penalty")),
    "do_sample": ("temperature",),
    "lora": ("adapters",),
    "adapter": ("adapters",),
    "lora_path": ("adapters",),
    "random_seed": ("seed",),
    "num_return_sequences": ("n",),
    "functions": ("tools",),
    "function_call": ("tool_choice",),
    "file": ("input",),
    **dict.fromkeys(("top_k", "k", "num_results", "limit"), ("top_n",)),
    **dict.fromkeys(("texts", "passages", "docs", "chunks"), ("documents",)),
    **dict.fromkeys(("q", "question"), ("query",)),
}  # fmt: skip
# What Ollama has inside its `options`.
_OPTIONS = (
    "temperature", "top_p", "top_k", "min_p", "seed", "num_predict", "stop", "repeat_penalty",
    "presence_penalty", "frequency_penalty",
)  # fmt: skip
# Nothing here does what they ask for.
_NOTHING = {
    "min_tokens", "min_new_tokens", "min_length", "prompt_logprobs", "repetition_context_size",
    "presence_context_size", "frequency_context_size", "repeat_last_n", "ignore_eos", "skip_special_tokens",
    "spaces_between_special_tokens", "include_stop_str_in_output", "length_penalty", "early_stopping",
    "use_beam_search", "truncate_prompt_tokens", "num_ctx", "keep_alive", "options", "typical_p", "tfs_z",
    "mirostat", "mirostat_tau", "mirostat_eta", "xtc_probability", "xtc_threshold", "xtc_special_tokens",
    "dry_multiplier", "dry_base", "dry_allowed_length", "top_a", "priority", "cache_prompt", "id_slot",
    "n_probs", "best_of", "logprobs", "top_logprobs", "echo", "raw", "template", "bad_words", "draft_model",
    "num_draft_tokens", "speculative", "extra_body", "provider", "route", "transforms", "models", "plugins",
}  # fmt: skip


def nearest_meaning(asked: str, known: Iterable[str], *, is_refused: Callable[[str], bool]) -> str:
    """Write the fix: "did you mean X?", or "leave it out".

    Args:
        known: The fields that exist in its object.
        is_refused: Tells of a known one whether it cannot be honoured either.
    """
    fields = [name for name in known if not is_refused(name)]
    name = asked[:_MOST_OF_A_NAME].strip().lower().replace("-", "_")
    inside = [name] if name in _OPTIONS else _meant(name, _OPTIONS)
    if inside and "options" in fields:
        return f"did you mean options.{inside[0]}?"
    if meant := _meant(name, fields):
        return f"did you mean {' or '.join(meant[:2] if name == 'enable_thinking' else meant[:1])}?"
    if name in _NOTHING and name not in fields:
        return "leave it out"
    near = difflib.get_close_matches(name, fields, n=3, cutoff=_CUTOFF)
    alike = next((each for each in near if _alike(name, each)), None)
    slip = next(iter(difflib.get_close_matches(name, _MEANT, n=1, cutoff=_SQUASHED_CUTOFF)), "")
    meant = [alike] if alike else _meant(slip, fields)
    return f"did you mean {meant[0]}?" if meant else "leave it out"


def _meant(name: str, fields: Iterable[str]) -> list[str]:
    return [each for each in _MEANT.get(name, ()) if each in fields]


def _alike(asked: str, known: str) -> bool:
    """Tell a spelling mistake from another word: max_token is max_tokens, min_tokens is not."""
    words, theirs = asked.split("_"), known.split("_")
    if len(words) == len(theirs):
        return all(_ratio(*pair) >= _WORD_CUTOFF for pair in zip(words, theirs, strict=True))
    return _ratio("".join(words), "".join(theirs)) >= _SQUASHED_CUTOFF


def _ratio(first: str, second: str) -> float:
    return difflib.SequenceMatcher(None, first, second).ratio()
