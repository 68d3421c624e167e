"""Native tokenizers: what they keep in memory."""

import random
import string
from pathlib import Path

import psutil
from tests.tiny_model import make_tiny_model
from transformers import AutoTokenizer

from local_ai.engine.core.memory.release import release_memory
from local_ai.engine.core.model.tokenizer import remember_no_words


def resident_mb() -> float:
    release_memory()
    return float(psutil.Process().memory_info().rss) / 1e6


def test_tokenizer_that_is_unloaded_leaves_no_words_in_memory(tmp_path: Path):
    """Six loads, each with 2,000 long words: 45 MB, while the library kept them."""
    folder, luck = make_tiny_model(tmp_path / "tiny"), random.Random(0)

    def load_and_read() -> None:
        tokenizer = AutoTokenizer.from_pretrained(str(folder))
        remember_no_words(tokenizer)
        text = " ".join("".join(luck.choices(string.ascii_letters, k=200)) for _ in range(2000))
        tokenizer.backend_tokenizer.encode_batch_fast([text])

    load_and_read()
    before = resident_mb()
    for _ in range(6):
        load_and_read()

    assert resident_mb() - before < 15
