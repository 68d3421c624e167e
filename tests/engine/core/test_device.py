"""The device that MLX computes on."""

import mlx.core as mx
import pytest

from local_ai.engine.core.device import choose_device
from local_ai.errors import ConfigError


def test_a_gpu_that_is_asked_for_and_not_found_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mx, "default_device", lambda: mx.Device(mx.cpu))

    with pytest.raises(ConfigError) as caught:
        choose_device("gpu")

    assert caught.value.why == 'engine.device is "gpu", and MLX finds none'


def test_a_processor_that_is_asked_for_computes():
    before = mx.default_device()
    try:
        assert choose_device("cpu") == "cpu"
    finally:
        mx.set_default_device(before)
