"""A picture is decoded by a process that may end, and those in use are counted."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest
from tests.engine.pictures.files import BLUE, RED, plain

from local_ai.engine.pictures.decoder import PictureDecoder
from local_ai.engine.pictures.protocol import Asked, Bounds
from local_ai.serving.errors import ApiError

BOUNDS = Bounds(most_bytes=1_000_000, most_pixels=1_000_000, most_edge=512)
SMALL = Asked(plain(size=(8, 6)), False, BOUNDS)  # 144 bytes of pixels


@pytest.fixture(scope="module")
def decoder() -> Iterator[PictureDecoder]:
    decoder = PictureDecoder(most_held_bytes=300)
    yield decoder
    decoder.end()


def test_a_picture_has_its_pixels_and_its_place(decoder: PictureDecoder):
    picture = decoder.decode(SMALL, "messages[0].content[1]")

    assert (picture.width, picture.height, picture.place) == (8, 6, "messages[0].content[1]")
    assert picture.rgb == bytes(RED) * 48


def test_a_refusal_names_the_place(decoder: PictureDecoder):
    with pytest.raises(ApiError) as caught:
        decoder.decode(Asked(b"%PDF", False, BOUNDS), "messages[2].content[0]")

    assert caught.value.sentence.startswith(
        "messages[2].content[0] cannot be used: it is a PDF, and PNG, JPEG, WebP and GIF are taken."
    )
    assert (caught.value.status, caught.value.code) == (400, "invalid_image_format")


def test_a_process_that_ends_costs_its_picture_alone(decoder: PictureDecoder):
    decoder.decode(SMALL, "here")
    for process in psutil.Process().children():
        if "local_ai.engine.pictures" in process.cmdline():
            process.kill()

    with pytest.raises(ApiError) as caught:
        decoder.decode(SMALL, "here")

    assert caught.value.why == "its picture could not be decoded: its process ended, by SIGKILL"
    assert decoder.decode(SMALL, "here").width == 8


def test_pictures_in_use_are_bounded_together_and_those_given_up_make_room(decoder: PictureDecoder):
    first, second = (decoder.decode(Asked(plain(c), False, BOUNDS), "here") for c in (RED, BLUE))

    with pytest.raises(ApiError) as caught:
        decoder.decode(SMALL, "here")
    assert (caught.value.status, caught.value.code) == (503, "no_room_for_pictures")

    assert first.digest != second.digest
    del first
    assert decoder.decode(SMALL, "here").width == 8
