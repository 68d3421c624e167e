"""What a peer's `/v1/models` may say."""

import json

import pytest

from local_ai.gateway.peers.model_list import MOST_MODELS, PeerModel, read_models


def listed(*entries: object) -> bytes:
    return json.dumps({"data": entries}).encode()


def ids(*names: object) -> list[str]:
    return [model.id for model in read_models(listed(*({"id": name} for name in names)))]


def test_a_model_has_its_name_its_time_and_its_context():
    known = [
        {"id": "org/a", "created": 1_700_000_000, "context_length": 4096},
        {"id": "b", "created": 1.5, "max_model_len": 8192},
        {"id": "c", "created": -1, "context_length": True},
        {"id": "d", "created": 1e300, "context_length": "many"},
    ]

    assert read_models(listed(*known)) == (
        PeerModel("org/a", 1_700_000_000, 4096),
        PeerModel("b", 1, 8192),
        PeerModel("c", 0, None),
        PeerModel("d", 0, None),
    )


def test_another_peers_models_are_left_out():
    assert ids("mine", "theirs@studio", "@", "a@b@c") == ["mine"]


def test_names_that_cannot_be_shown_are_left_out():
    assert ids("a\nb", "\x1b[31mred", "", " a", "a\u202eb", "x" * 201, 7, None, ["a"], "fine") == ["fine"]


def test_no_more_models_are_taken_than_are_bounded_and_none_twice():
    names = ids(*(["same"] * 5), *map(str, range(MOST_MODELS + 10)))

    assert len(names) == MOST_MODELS
    assert names[:2] == ["same", "0"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"data": {}}',
        b"{",
        b"[" * 100_000,
        b'{"data": NaN}',
        b"\xff",
        b'{"data": [{"id": "\\ud800"}]}',
    ],
)
def test_what_is_no_list_is_an_error(body: bytes):
    with pytest.raises(ValueError):
        read_models(body)


def test_entries_that_are_none_cost_themselves_alone():
    assert [model.id for model in read_models(listed(1, None, [], {"id": "a"}))] == ["a"]
