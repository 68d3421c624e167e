"""How large the pieces are in which prompts are read, and whose prompt comes next."""

import pytest

from local_ai.engine.core.decoding.prefill import MOST_PROMPTS, PrefillPace, bounded_by_scores


def pace_of(tokens_per_s: float) -> PrefillPace:
    """A pace that has learned what this machine does."""
    pace = PrefillPace(64)
    for _ in range(20):
        pace.learn(int(tokens_per_s / 2), 0.5)
    return pace


def test_a_prompt_alone_is_read_in_pieces_of_less_than_half_a_second():
    assert pace_of(1000).piece([5000], company=False) == pytest.approx(400, rel=0.01)


def test_pieces_are_smaller_while_answers_grow_beside():
    assert pace_of(1000).piece([5000], company=True) == pytest.approx(200, rel=0.01)


def test_prompts_share_the_time_of_a_step():
    assert pace_of(1000).piece([5000] * 4, company=False) == pytest.approx(100, rel=0.01)


def test_a_short_prompt_is_not_filled_up_to_a_long_piece():
    assert pace_of(10_000).piece([5000, 101], company=False) == 100


def test_prompts_of_nearly_one_length_are_read_together():
    assert pace_of(900).piece([300, 120], company=False) == 180


@pytest.mark.parametrize(("tokens_per_s", "piece"), [(1000, 32), (10_000, 100)], ids=["slow", "fast"])
def test_an_answer_about_to_begin_waits_for_a_small_piece_only(tokens_per_s: float, piece: int):
    assert pace_of(tokens_per_s).piece([5000, 1], company=False) == pytest.approx(piece, rel=0.01)


@pytest.mark.parametrize(("tokens_per_s", "piece"), [(1, 32), (1e9, 2048)], ids=["slow", "fast"])
def test_pieces_have_bounds(tokens_per_s: float, piece: int):
    pace = PrefillPace(64)
    for _ in range(40):
        pace.learn(2048 if tokens_per_s > 1 else 32, 2048 / tokens_per_s)

    assert pace.piece([10**6], company=False) == piece


def test_one_odd_measurement_changes_the_piece_twofold_at_most():
    pace = pace_of(1000)
    before = pace.piece([5000], company=False)

    pace.learn(500, 60)

    assert pace.piece([5000], company=False) >= before // 2 - 1


def test_a_small_piece_does_not_make_the_next_ones_smaller():
    pace = pace_of(1000)
    before = pace.piece([5000], company=False)

    pace.learn(32, 0.2)

    assert pace.piece([5000], company=False) == before


def test_a_pace_that_fell_recovers():
    pace = pace_of(1)
    for _ in range(10):
        pace.learn(32, 0.03)

    assert pace.piece([5000], company=False) == pytest.approx(426, rel=0.01)


def test_short_prompts_find_room_beside_long_ones():
    has_room, long = pace_of(100).has_room, [4000] * 4

    assert has_room(long[:3], 4000)
    assert not has_room(long, 4000)
    assert has_room(long, 100)
    assert not has_room([*long, *[100] * 4], 100)


def test_the_faster_a_device_reads_the_more_prompts_are_read_side_by_side():
    def most(tokens_per_s: float) -> int:
        pace = pace_of(tokens_per_s)
        return next(count for count in range(1000) if not pace.has_room([50] * count, 50))

    assert most(100) == 8
    assert most(5000) == 15
    assert most(10**6) == MOST_PROMPTS


def test_on_a_card_short_prompts_are_read_whole_beside_an_answer_about_to_begin():
    """A step takes as long there for 512 tokens as for fewer."""
    assert PrefillPace(512, least_tokens=512).piece([60] * 7 + [1], company=True) >= 60


@pytest.mark.parametrize(
    ("prompts", "longest", "piece"), [(1, 8_000, 2048), (1, 100_000, 335), (4, 100_000, 83), (8, 10**6, 32)]
)
def test_pieces_of_long_prompts_are_smaller_where_attention_keeps_all_scores(
    prompts: int, longest: int, piece: int
):
    assert bounded_by_scores(2048, prompts, longest) == piece
