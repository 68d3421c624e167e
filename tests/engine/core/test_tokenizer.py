"""Native tokenizers: what they keep in memory."""

import subprocess
import sys
from pathlib import Path

from tests.tiny_model import make_tiny_model
from tests.waits import scaled

_GROWTH = """
import random
import string
import sys

import psutil
from transformers import AutoTokenizer

from local_ai.engine.core.memory.release import release_memory
from local_ai.engine.core.model.tokenizer import remember_no_words

luck = random.Random(0)


def load_and_read():
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    remember_no_words(tokenizer)
    text = " ".join("".join(luck.choices(string.ascii_letters, k=200)) for _ in range(2000))
    tokenizer.backend_tokenizer.encode_batch_fast([text])


def own_bytes():
    release_memory()
    return psutil.Process().memory_info().rss


load_and_read()
before = own_bytes()
for _ in range(6):
    load_and_read()
print(own_bytes() - before)
"""


def test_tokenizer_that_is_unloaded_leaves_no_words_in_memory(tmp_path: Path):
    """Six loads, each with 2,000 long words: 45 MB, while the library kept them."""
    folder = make_tiny_model(tmp_path / "tiny")

    # In a process of its own: threads that other tests have left need memory, too.
    grown = subprocess.run(
        [sys.executable, "-c", _GROWTH, str(folder)], stdout=subprocess.PIPE, timeout=scaled(60), check=True
    ).stdout

    assert int(grown) < 15_000_000
