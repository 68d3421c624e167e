"""Figures in words, on terminal and page alike."""

import pytest

from local_ai.status.figures import in_words, size_in_words, why_slow


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (4.6, "4 s"), (59.7, "59 s"), (60, "1 min"), (7500, "2 h 5 min"), (97200, "1 d 3 h")],
)
def test_seconds_are_whole_units_that_have_passed(seconds: float | None, text: str):
    assert in_words(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(None, "–"), (2_500_000, "3 MB"), (812_400_000, "812 MB"), (1_250_000_000, "1.3 GB")],
)
def test_sizes_round_halves_up_as_the_page_does(size: int | None, text: str):
    assert size_in_words(size) == text


@pytest.mark.parametrize(
    ("quantisation", "device", "is_slow"),
    [("4-bit", "cuda", True), ("", "cuda", False), ("4-bit", "metal", False), ("4-bit", None, False)],
)
def test_a_quantised_model_is_called_slow_on_an_nvidia_card_alone(
    quantisation: str, device: str | None, is_slow: bool
):
    assert bool(why_slow(quantisation, device)) is is_slow
