"""A picture's file becomes pixels, or words about what is wrong with it."""

from __future__ import annotations

import base64
import random

import pytest
from PIL import Image
from tests.engine.pictures.files import BLUE, GREEN, RED, WHITE, claims, plain, written

from local_ai.engine.pictures.decode import Unusable, decode
from local_ai.engine.pictures.protocol import Asked, Bounds

BOUNDS = Bounds(most_bytes=1_000_000, most_pixels=1_000_000, most_edge=512)
HALF_CLEAR = Image.new("RGBA", (8, 6), (0, 0, 255, 0))
HALF_CLEAR.paste((255, 0, 0, 255), (0, 0, 4, 6))
GREY = Image.new("L", (8, 6), 128)


def pixels(file: bytes, bounds: Bounds = BOUNDS) -> Image.Image:
    width, height, rgb = decode(Asked(file, False, bounds))
    return Image.frombytes("RGB", (width, height), rgb)


def frames(kind: str) -> bytes:
    first, second = (Image.new("RGB", (8, 6), colour) for colour in (RED, BLUE))
    return written(first, kind, save_all=True, append_images=[second])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_each_kind_of_file_is_read(kind: str):
    found = pixels(plain(kind=kind))

    assert found.size == (8, 6)
    assert found.getpixel((3, 3)) == pytest.approx(RED, abs=3)


@pytest.mark.parametrize(
    ("file", "colour"),
    [
        pytest.param(written(Image.new("CMYK", (8, 6), (0, 255, 255, 0)), "JPEG"), RED, id="cmyk"),
        pytest.param(written(Image.new("1", (8, 6), 1)), WHITE, id="one bit"),
        pytest.param(written(Image.new("RGB", (8, 6), RED).convert("P")), RED, id="palette"),
        pytest.param(written(GREY), (128,) * 3, id="grey"),
        pytest.param(written(Image.new("I;16", (8, 6), 128 * 257)), (128,) * 3, id="grey of 16 bit"),
        pytest.param(written(Image.new("LA", (8, 6), (0, 0))), WHITE, id="clear grey"),
        pytest.param(
            written(Image.new("RGBA", (8, 6), (0, 0, 0, 0)), "WEBP", lossless=True), WHITE, id="clear"
        ),
        pytest.param(written(Image.new("RGBA", (8, 6), (0, 0, 0, 0)), "GIF"), WHITE, id="clear palette"),
        pytest.param(frames("GIF"), RED, id="animated gif"),
        pytest.param(frames("WEBP"), RED, id="animated webp"),
        pytest.param(frames("PNG"), RED, id="animated png"),
    ],
)
def test_every_mode_becomes_red_green_and_blue_on_white_and_of_frames_the_first_counts(
    file: bytes, colour: tuple[int, ...]
):
    assert pixels(file).getpixel((3, 3)) == pytest.approx(colour, abs=3)


def test_what_is_clear_becomes_white_and_the_rest_stays():
    found = pixels(written(HALF_CLEAR))

    assert (found.getpixel((0, 0)), found.getpixel((7, 5))) == (RED, WHITE)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_photograph_is_shown_as_the_camera_was_held(kind: str):
    lying = Image.new("RGB", (64, 32), GREEN)
    lying.paste(RED, (0, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # the right edge is the bottom

    upright = pixels(written(lying, kind, exif=exif))

    assert upright.size == (32, 64)
    assert upright.getpixel((16, 8)) == pytest.approx(RED, abs=5)
    assert upright.getpixel((16, 56)) == pytest.approx(GREEN, abs=5)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize(
    ("size", "shown"),
    [((1000, 500), (512, 256)), ((500, 1000), (256, 512)), ((1000, 10), (512, 5)), ((500, 5), (500, 5))],
)
def test_a_larger_picture_is_scaled_down_and_a_smaller_one_is_not(
    kind: str, size: tuple[int, int], shown: tuple[int, int]
):
    assert pixels(plain(size=size, kind=kind)).size == shown


@pytest.mark.parametrize(
    ("file", "why", "code"),
    [
        (b"", "its file is empty", "empty_image_file"),
        (b"hello", "it is no PNG, JPEG, WebP or GIF", "invalid_image_format"),
        (b"%PDF-1.7", "it is a PDF, and PNG, JPEG, WebP and GIF are taken", "invalid_image_format"),
        (b"\0\0\0\x18ftypheic", "it is a HEIC picture, and", "invalid_image_format"),
        (b"RIFF\0\0\0\0WAVE", "it is no PNG", "invalid_image_format"),
        (b'<?xml version="1.0"?>\n<svg/>', "it is an SVG drawing", "invalid_image_format"),
        (b"<!DOCTYPE html>", "it is a web page", "invalid_image_format"),
        (plain()[:50], "its file is broken or cut off (", "image_parse_error"),
        (claims(0, 0), "its file is broken or cut off (its head cannot be read)", "image_parse_error"),
        (plain(kind="JPEG", size=(99, 99))[:-200], "its file is broken or cut off (", "image_parse_error"),
        (plain(kind="GIF")[:20], "its file is broken or cut off (", "image_parse_error"),
        (plain(kind="WEBP")[:20], "its file is broken or cut off (", "image_parse_error"),
        (claims(0, 5), "its file is broken or cut off (", "image_parse_error"),
        (claims(5, 5), "its file is broken or cut off (", "image_parse_error"),
        (
            claims(60_000, 60_000),
            "it has 60000 × 60000 pixels, and 1 million are taken (vision.max_megapixels)",
            "image_too_large",
        ),
        (claims(2**31 - 1, 2**31 - 1), "it has 2147483647 × 2147483647 pixels", "image_too_large"),
        (claims(301, 3), "it has 301 × 3 pixels, and an edge may be 100 times the other", "invalid_image"),
        (bytes(1_500_000), "its file has more than 1 MB (vision.max_picture_mb)", "image_file_"),
    ],
)
def test_what_is_no_usable_picture_is_said_in_words(file: bytes, why: str, code: str):
    with pytest.raises(Unusable) as caught:
        decode(Asked(file, False, BOUNDS))

    assert caught.value.why.startswith(why)
    assert caught.value.code.startswith(code)
    assert caught.value.fix


def test_base64_may_have_line_ends_and_lack_its_padding_but_no_other_characters():
    text = base64.b64encode(plain()).rstrip(b"=")
    lines = b"\n".join(text[at : at + 76] for at in range(0, len(text), 76))

    assert decode(Asked(lines, True, BOUNDS)) == decode(Asked(plain(), False, BOUNDS))
    with pytest.raises(Unusable, match="its data is not base64"):
        decode(Asked(b"data?" + text, True, BOUNDS))


def test_whatever_a_file_holds_it_is_decoded_or_refused_in_words():
    files = [
        plain(size=(40, 30), kind="PNG"),
        plain(size=(40, 30), kind="JPEG"),
        plain(size=(40, 30), kind="WEBP"),
        frames("GIF"),
        written(HALF_CLEAR),
    ]
    mutate = random.Random(7)
    outcomes = set()

    for _ in range(3000):
        file = bytearray(mutate.choice(files))
        for _ in range(mutate.choice([1, 2, 10])):
            file[mutate.randrange(len(file))] = mutate.randrange(256)
        cut = file[: mutate.randrange(len(file))] if mutate.random() < 0.1 else file
        try:
            width, height, rgb = decode(Asked(bytes(cut), False, BOUNDS))
            outcomes.add(len(rgb) == 3 * width * height)
        except Unusable as refusal:
            outcomes.add(refusal.code)

    assert outcomes >= {True, "image_parse_error", "invalid_image_format"}
    assert False not in outcomes
