"""Whatever a settings file or the environment holds, it is taken or refused in words."""

from __future__ import annotations

import tempfile
from pathlib import Path

import tomlkit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_ai.errors import ConfigError
from local_ai.settings.load import known_keys, load, variable_for

_QUICKLY = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
_VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]))
    | st.datetimes(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc_", min_size=1), inner, max_size=3)
    ),
    max_leaves=5,
)
_KEYS = st.sampled_from(sorted(known_keys()))


def taken_or_refused(text: bytes, environ: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.toml"
        file.write_bytes(text)
        try:
            load(config_path=file, environ=environ)
        except ConfigError as refused:
            assert refused.why
            assert refused.fix
            assert refused.exit_code == 2


@_QUICKLY
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_any_file(content: bytes):
    taken_or_refused(content, {})


@_QUICKLY
@given(st.dictionaries(_KEYS, _VALUES, min_size=1, max_size=4))
def test_any_value_of_a_known_key(values: dict[str, object]):
    document: dict[str, dict[str, object]] = {}
    for key, value in values.items():
        section, _, name = key.partition(".")
        document.setdefault(section, {})[name or "x"] = value

    taken_or_refused(tomlkit.dumps(document).encode(), {})


@_QUICKLY
@given(
    st.dictionaries(
        _KEYS.map(variable_for),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40),
        min_size=1,
        max_size=4,
    )
)
def test_any_value_in_the_environment(environ: dict[str, str]):
    taken_or_refused(b"", environ)
