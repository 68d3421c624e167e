"""What models can have on a machine, by its recorded figures and by a budget."""

from __future__ import annotations

import pytest

from local_ai.models.memory import Machine, budget_bytes, loadable_bytes
from local_ai.settings.schema import ModelsSettings
from local_ai.status.figures import why_too_large

pytestmark = pytest.mark.integration  # importing mlx takes seconds

GIB, MIB = 2**30, 2**20

# What Metal says on such Macs: https://github.com/ggml-org/llama.cpp/issues/2209 (16 GB) and 1870 (64 GB); of
# 8 GB, two thirds as well.
MACS = {
    8: Machine(8 * GIB, working_set_bytes=int(5461.34 * MIB)),
    16: Machine(16 * GIB, working_set_bytes=int(10922.67 * MIB)),
    64: Machine(64 * GIB, working_set_bytes=49152 * MIB),
}
# Weights and a conversation of 32,768 tokens, in GB, as the README has them.
MODELS = {
    "Llama-3.2-3B-Instruct-4bit": 1.8 + 3.8,
    "Qwen3-8B-4bit": 4.6 + 4.8,
    "Qwen3-Coder-30B-A3B-Instruct-4bit": 17.2 + 3.2,
    "Llama-3.3-70B-Instruct-4bit": 39.7 + 10.7,
}


@pytest.mark.parametrize(
    ("gigabytes", "most", "count"),
    [(8, 5.73, 1), (16, 11.45, 2), (64, 51.54, 4)],
    ids=["8 GB", "16 GB", "64 GB"],
)
def test_a_mac_holds_what_metal_recommends_whatever_is_free(gigabytes: int, most: float, count: int):
    """Of these four models, so many can be loaded there, each alone."""
    from local_ai.engine.core.memory.limits import MemoryLimits

    limits = MemoryLimits(lambda: None, MACS[gigabytes])
    loadable = loadable_bytes(ModelsSettings(), MACS[gigabytes])

    assert limits.most_bytes / 1e9 == pytest.approx(most, abs=0.01)
    assert loadable == limits.most_bytes - limits.margin
    assert sum(need <= loadable / 1e9 for need in MODELS.values()) == count
    # A default that a start chooses by itself leaves room for a conversation.
    assert 0.6 * MACS[gigabytes].total_bytes < 0.95 * loadable


def test_elsewhere_a_share_of_the_memory_or_of_the_card_is_for_models():
    assert Machine(10 * GIB).most_bytes == 8 * GIB
    assert Machine(10 * GIB, card_bytes=80 * GIB).most_bytes == 72 * GIB


def test_a_budget_bounds_downloads_and_lists_as_it_bounds_loads():
    from local_ai.engine.core.memory.limits import MemoryLimits

    settings = ModelsSettings(budget=2)
    limits = MemoryLimits(lambda: budget_bytes(settings), MACS[64])

    assert loadable_bytes(settings, MACS[64]) == limits.most_bytes - limits.margin == 1_960_000_000
    assert why_too_large(1_960_000_000, loadable_bytes(settings, MACS[64])) == ""
    assert why_too_large(2_000_000_000, loadable_bytes(settings, MACS[64])) == (
        "its weights need 2.0 GB of memory, and models can have 2.0 GB here"
    )
    assert why_too_large(10**15, None) == ""


def test_a_budget_wins_over_the_machine_and_is_read_anew_each_time():
    from local_ai.engine.core.memory.limits import MemoryLimits

    budgets = [2 * 10**9, None]
    limits = MemoryLimits(lambda: budgets.pop(0), MACS[8])

    assert limits.most_bytes == 2 * 10**9
    assert limits.most_bytes == MACS[8].working_set_bytes
