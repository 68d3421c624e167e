"""Decodes pictures in processes of their own: a file that crashes or fills its decoder costs one process."""

import pickle
import threading
import weakref

from local_ai.engine.errors import bad_field, unavailable
from local_ai.engine.isolation.pool import ProcessPool, ProcessStopped
from local_ai.engine.pictures.picture import Picture
from local_ai.engine.pictures.protocol import NOT_INSTALLED, PICTURE, Asked, read_picture, read_refusal
from local_ai.serving.errors import ApiError

_MOST_AT_ONCE = 2  # each may take a gigabyte
_LEAST_MEMORY = 256_000_000  # of one picture
# Pillow takes 4 bytes for a pixel whatever its mode, and has it up to three times while it converts it.
_MEMORY_PER_PIXEL = 12
_MEMORY_PER_BYTE = 4  # the base64 text, the file, and what decoders buffer
_MOST_HELD_BYTES = 1_000_000_000


class PictureDecoder:
    """Makes pictures of files; counts the memory that those in use take."""

    def __init__(self, most_held_bytes: int = _MOST_HELD_BYTES) -> None:
        self._pool = ProcessPool("local_ai.engine.pictures", most_at_once=_MOST_AT_ONCE)
        self._most_held = most_held_bytes
        self._held = 0
        self._lock = threading.RLock()  # a picture may be given up while another is counted

    def decode(self, asked: Asked, place: str) -> Picture:
        """Decode a picture. Not for the event loop.

        Args:
            place: Where it stands in the request.

        Raises:
            ApiError: 400, it cannot be used, by its place; 503, there is no room for it now, or no decoder.
        """
        most_memory = _LEAST_MEMORY + _MEMORY_PER_PIXEL * asked.bounds.most_pixels
        most_memory += _MEMORY_PER_BYTE * len(asked.content)
        try:
            answer = self._pool.ask(pickle.dumps(asked), most_memory=most_memory)
        except ProcessStopped as exc:
            raise bad_field(
                place,
                f"its picture could not be decoded: {exc}",
                "save it as another file, PNG or JPEG, or scale it down",
                code="image_parse_error",
            ) from exc
        if answer[:1] == NOT_INSTALLED:
            raise unavailable(
                "pictures cannot be read", "Pillow is not installed", "install local-ai[vision]"
            )
        if answer[:1] != PICTURE:
            why, fix, code = read_refusal(answer)
            raise bad_field(place, why, fix, code=code)
        width, height, rgb = read_picture(answer)
        return self._counted(Picture(rgb, width, height, place))

    def end(self) -> None:
        """End the processes."""
        self._pool.end()

    def _counted(self, picture: Picture) -> Picture:
        size = len(picture.rgb)
        with self._lock:
            if self._held + size > self._most_held:
                raise _no_room(self._most_held)
            self._held += size
        weakref.finalize(picture, self._give_up, size)
        return picture

    def _give_up(self, size: int) -> None:
        with self._lock:
            self._held -= size


def _no_room(most: int) -> ApiError:
    return ApiError(
        "the request's pictures cannot be held now",
        status=503,
        why=f"the pictures of the requests under way fill the {most // 1_000_000} MB there are for them",
        fix="try again in a moment, or send fewer or smaller ones at once",
        code="no_room_for_pictures",
    )
