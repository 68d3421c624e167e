"""Where the reading of a prompt pauses."""

from __future__ import annotations

from local_ai.engine.core.decoding.segments import around, cut, pauses


def test_a_short_prompt_pauses_at_its_branches_that_are_to_be_read():
    assert pauses(100, 0, (4, 30, 60, 99)) == [30, 60]
    assert pauses(100, 30, (30, 60)) == [60]


def test_a_long_prompt_pauses_every_2048_tokens_but_not_beside_a_branch():
    assert pauses(9000, 0, (2100,)) == [2100, 4096, 6144, 8192]
    assert pauses(9000, 4096, ()) == [6144, 8192]


def test_a_very_long_prompt_pauses_a_bounded_number_of_times():
    assert pauses(1_000_000, 0, ()) == [131072 * number for number in range(1, 8)]


def test_a_prompt_is_cut_at_its_pauses_whole():
    prompt = tuple(range(10))

    assert cut(prompt, 2, [4, 7]) == [[2, 3], [4, 5, 6], [7, 8, 9]]


def test_a_picture_is_a_piece_of_its_own_and_no_pause_is_inside_of_it():
    assert around([4, 6, 20], [(5, 9), (9, 12)]) == [4, 5, 9, 12, 20]
    assert around([4, 6], []) == [4, 6]
