"""A server that other machines can reach asks for a key."""

import pytest

from local_ai.errors import LocalAIError
from local_ai.settings.exposure import check_exposure
from local_ai.settings.schema import ServerSettings


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_needs_no_key(host: str):
    assert check_exposure(ServerSettings(host=host)) == ""


def test_other_addresses_are_refused_without_a_key():
    with pytest.raises(LocalAIError) as caught:
        check_exposure(ServerSettings(host="0.0.0.0"))

    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        "error: the server would be open to the network\n"
        "  why: server.host = '0.0.0.0' is reachable from other machines, and server.api_keys is empty\n"
        '  fix: set server.api_keys = ["a-long-secret"] in config.toml, or server.host = "127.0.0.1" '
        "(server.allow_unauthenticated = true opens it on purpose)"
    )


def test_other_addresses_pass_with_a_key_and_with_a_warning_when_opened_on_purpose():
    with_key = ServerSettings.model_validate({"host": "0.0.0.0", "api_keys": ["sesame-open"]})
    on_purpose = ServerSettings(host="0.0.0.0", allow_unauthenticated=True)

    assert check_exposure(with_key) == ""
    assert check_exposure(on_purpose).startswith("everyone who can reach this machine can use the server")
