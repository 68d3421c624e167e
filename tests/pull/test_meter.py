"""What a download says of its progress."""

from __future__ import annotations

import pytest

from local_ai.pull.meter import Meter


class FakeClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_meter_says_bytes_speed_and_time_left(clock: FakeClock):
    meter = Meter(4_000_000_000, 0, clock)
    clock.now += 2

    meter.add(100_000_000)

    assert meter.sentence == "100 MB of 4.0 GB (2%), 50 MB/s, 1 min left"


def test_meter_counts_what_was_here_before_but_not_as_speed(clock: FakeClock):
    meter = Meter(1_000_000_000, 900_000_000, clock)
    assert meter.sentence == "900 MB of 1.0 GB (90%)"
    clock.now += 1

    meter.add(10_000_000)

    assert meter.sentence == "910 MB of 1.0 GB (91%), 10 MB/s, 9 s left"


def test_meter_forgets_how_fast_it_was_long_ago(clock: FakeClock):
    meter = Meter(10_000_000_000, 0, clock)
    for speed in [100_000_000] * 10 + [1_000_000] * 10:
        clock.now += 1
        meter.add(speed)

    assert ", 1 MB/s, " in meter.sentence


def test_meter_takes_back_what_has_to_come_again(clock: FakeClock):
    meter = Meter(1_000_000, 500_000, clock)

    meter.add(-500_000)

    assert (meter.done, meter.sentence) == (0, "0 MB of 1 MB (0%)")


def test_meter_of_a_whole_download_tells_no_speed(clock: FakeClock):
    meter = Meter(1_000_000, 0, clock)
    clock.now += 1

    meter.add(1_000_000)

    assert meter.sentence == "1 MB of 1 MB (100%)"
