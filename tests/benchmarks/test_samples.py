"""Statistics of a benchmark run, on values that are known."""

import pytest
from benchmarks.samples import Row, Samples, Spread, What, as_json, ratio, spread

WHAT = What("suite", "start", "s", "bare")


def test_spread_is_median_and_quartiles_in_any_order():
    assert spread([5, 1, 3, 2, 4]) == Spread(2, 3, 4)


def test_spread_of_one_value_is_that_value():
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0)


def test_nothing_measured_is_an_error_and_no_zero():
    with pytest.raises(ValueError, match="nothing was measured"):
        spread([])


def test_rounds_are_compared_with_their_own_baseline():
    """A round that met a busy machine was slow for both."""
    assert ratio((2.0, 20.0, 2.0), (1.0, 10.0, 1.0)) == Spread(2.0, 2.0, 2.0)


def test_rounds_that_do_not_pair_up_are_compared_with_the_baselines_median():
    assert ratio((4.0, 6.0), (1.0, 2.0, 3.0)) == Spread(2.25, 2.5, 2.75)


def test_a_baseline_of_zero_divides_nothing():
    assert ratio((1.0, 1.0, 1.0), (0.0, 2.0, 2.0)).middle == 0.5


def test_rows_come_in_the_order_of_the_questions_with_their_baseline():
    samples = Samples()
    for value in (1.0, 3.0):
        samples.add(WHAT, "bare", value)
        samples.add(WHAT, "ours", 2 * value)

    bare, ours = samples.rows()

    assert (bare.who, bare.ratio) == ("bare", None)
    assert (ours.who, ours.ratio) == ("ours", Spread(2, 2, 2))


def test_a_row_without_its_baseline_has_no_ratio():
    assert Row(WHAT, "ours", (1.0,), ()).ratio is None


def test_json_holds_every_sample():
    row = as_json(Row(WHAT, "ours", (1.0, 3.0), (1.0, 1.0)))

    assert row["samples"] == [1.0, 3.0]
    assert (row["median"], row["ratio"], row["ratio_quartiles"]) == (2.0, 2.0, [1.5, 2.5])


def test_nothing_is_a_multiple_of_a_baseline_that_is_0():
    row = Row(What("s", "tokens not read", "tokens", "them"), "us", (8000.0,), (0.0,))

    assert row.ratio is None
