"""The simulation of conversations over several machines."""

from benchmarks.replicas import AFFINITY, BY_CHANCE, LEAST_BUSY, simulate


def test_conversations_that_stay_where_they_began_are_read_once():
    read_twice = {route: result.read_twice for _, route, result in simulate([4], 600)}

    assert read_twice[AFFINITY] < 0.03
    assert read_twice[AFFINITY] < read_twice[LEAST_BUSY] / 3
    assert read_twice[AFFINITY] < read_twice[BY_CHANCE] / 3
