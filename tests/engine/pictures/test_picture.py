"""A decoded picture: its digest tells it from others."""

from local_ai.engine.pictures.picture import Picture


def test_the_same_pixels_have_the_same_digest_wherever_they_stood():
    one = Picture(bytes(12), 2, 2, "messages[0].content[1]")

    assert one.digest == Picture(bytes(12), 2, 2, "messages[4].content[0]").digest


def test_another_picture_of_the_same_size_and_the_same_pixels_in_another_size_have_other_digests():
    one = Picture(bytes(12), 2, 2, "here")
    others = [Picture(bytes(11) + b"\x01", 2, 2, "here"), Picture(bytes(12), 4, 1, "here")]

    assert one.digest not in {picture.digest for picture in others}
