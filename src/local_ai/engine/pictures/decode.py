"""A picture's file as pixels; runs in a process of its own: decoders are large, and files are anybody's."""

import binascii
import io
import re
import warnings

from PIL import (  # noqa: F401
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from local_ai.engine.pictures.protocol import Asked, Bounds

_FORMATS = {"PNG": b"\x89PNG\r\n\x1a\n", "JPEG": b"\xff\xd8\xff", "GIF": b"GIF8", "WEBP": b"RIFF"}
_OTHERS = (
    (re.compile(rb"%PDF"), "a PDF"),
    (re.compile(rb".{4}ftyp(hei|hev|mif|msf)", re.DOTALL), "a HEIC picture"),
    (re.compile(rb".{4}ftypavi", re.DOTALL), "an AVIF picture"),
    (re.compile(rb".{4}ftyp", re.DOTALL), "a film"),
    (re.compile(rb"BM"), "a BMP picture"),
    (re.compile(rb"II\*\0|MM\0\*"), "a TIFF picture"),
    (re.compile(rb"\s*(<\?xml.*)?\s*(<!--.*-->\s*)*<svg", re.DOTALL), "an SVG drawing"),
    (re.compile(rb"\s*<(!doctype )?html", re.IGNORECASE), "a web page"),
)
_HEAD_BYTES = 1000
_MOST_RATIO = 100  # of a picture's edges; models' processors refuse longer strips
_WHITESPACE = re.compile(rb"\s+")
# Source: Exif 2.32, tag Orientation.
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

warnings.simplefilter("ignore")  # of damaged files: the client is told
Image.MAX_IMAGE_PIXELS = None  # the settings' bound holds instead


class Unusable(Exception):
    """A file that no picture can be made of."""

    def __init__(self, why: str, fix: str, code: str) -> None:
        """Say why, a clause about the picture, and what to do; `code` is OpenAI's word for it."""
        super().__init__(why)
        self.why, self.fix, self.code = why, fix, code


def decode(asked: Asked) -> tuple[int, int, bytes]:
    """Return a picture's width, height and pixels: upright, on white, its first frame, no larger than wanted.

    What the file is decides, not what the client says it is: many say image/png of whatever they have.

    Raises:
        Unusable: It is none, is broken, or is too large.
        MemoryError: The process may not have as much.
    """
    content = _from_base64(asked.content) if asked.is_base64 else asked.content
    _check_file(content, asked.bounds)
    try:
        with Image.open(io.BytesIO(content), formats=list(_FORMATS)) as image:
            _check_size(image.width, image.height, asked.bounds)
            edge = asked.bounds.most_edge
            image.draft("RGB", (edge, edge))  # a JPEG is scaled while it is decoded
            image.load()
            upright = _on_white(_scaled(_plain(image), edge), _turn(image))
            return upright.width, upright.height, upright.tobytes()
    except (Unusable, MemoryError):
        raise
    except Exception as exc:  # decoders raise what they like: OSError, SyntaxError, struct.error, …
        raise Unusable(
            f"its file is broken or cut off ({_reason(exc)})",
            "send the whole file; a viewer shows whether it is",
            "image_parse_error",
        ) from exc


def _from_base64(text: bytes) -> bytes:
    text = _WHITESPACE.sub(b"", text)
    try:
        return binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except binascii.Error as exc:
        fix = "send the bytes of its file in base64, as data:image/png;base64,… or alone"
        raise Unusable(f"its data is not base64 ({_reason(exc)})", fix, "invalid_base64_image") from exc


def _check_file(content: bytes, bounds: Bounds) -> None:
    if not content:
        raise Unusable("its file is empty", "send the file's bytes", "empty_image_file")
    if len(content) > bounds.most_bytes:
        raise Unusable(
            f"its file has more than {bounds.most_bytes / 1e6:g} MB (vision.max_picture_mb)",
            "save it as a smaller JPEG, or raise vision.max_picture_mb in config.toml",
            "image_file_too_large",
        )
    head = content[:_HEAD_BYTES]
    is_known = any(head.startswith(mark) for mark in _FORMATS.values())
    if is_known and (not head.startswith(b"RIFF") or head[8:12] == b"WEBP"):
        return
    other = next((name for mark, name in _OTHERS if mark.match(head)), "")
    raise Unusable(
        f"it is {other}, and PNG, JPEG, WebP and GIF are taken"
        if other
        else "it is no PNG, JPEG, WebP or GIF",
        "convert it to PNG or JPEG",
        "invalid_image_format",
    )


def _check_size(width: int, height: int, bounds: Bounds) -> None:
    if width < 1 or height < 1:
        raise Unusable(
            f"it has {width} × {height} pixels", "send one that shows something", "image_too_small"
        )
    if width * height > bounds.most_pixels:
        raise Unusable(
            f"it has {width} × {height} pixels, and {bounds.most_pixels / 1e6:g} million are taken "
            "(vision.max_megapixels)",
            "scale it down, or raise vision.max_megapixels in config.toml",
            "image_too_large",
        )
    if max(width, height) > _MOST_RATIO * min(width, height):
        raise Unusable(
            f"it has {width} × {height} pixels, and an edge may be {_MOST_RATIO} times the other at most",
            "cut a part out of it",
            "invalid_image",
        )


def _plain(image: Image.Image) -> Image.Image:
    """Return it in a mode that can be scaled: RGBA where it may be transparent, else RGB."""
    if image.mode.startswith("I"):  # 16 bit a pixel: of a conversion only the lowest eight would stay
        return image.point(lambda value: value / 257).convert("L").convert("RGB")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _scaled(image: Image.Image, most_edge: int) -> Image.Image:
    scale = most_edge / max(image.size)
    if scale >= 1:
        return image
    width, height = (max(1, round(edge * scale)) for edge in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Tell how a picture has to be turned, as the camera noted."""
    try:
        return _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except MemoryError:
        raise
    except Exception:  # a damaged note spoils no picture
        return None


def _on_white(image: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    if image.mode == "RGBA":
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        image = white
    return image if turn is None else image.transpose(turn)


def _reason(exc: Exception) -> str:
    if isinstance(exc, UnidentifiedImageError):  # its text names our buffer
        return "its head cannot be read"
    lines = str(exc).strip().splitlines()
    return lines[0][:200] if lines else type(exc).__name__
