"""The pictures of a conversation, read for the model that it is for."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from weakref import WeakKeyDictionary

from local_ai.engine.errors import bad_field
from local_ai.engine.pictures.decoder import PictureDecoder
from local_ai.engine.pictures.fetch import PictureFetcher
from local_ai.engine.pictures.picture import Picture, PictureSource
from local_ai.engine.pictures.protocol import Asked, Bounds
from local_ai.engine.text.conversation import Ask, Message, Part
from local_ai.engine.text.interruptible import InterruptibleThreads
from local_ai.engine.text.left_out import newest_of_user, placeholder
from local_ai.settings.schema import VisionSettings

_LONGEST_S = 30.0  # that decoding one picture may take; a large photograph takes a second
_MOST_NAMED = 3  # models
_SMALL_EDGE = 512  # of a picture that is wanted small: "low" in OpenAI's terms


class PictureReader:
    """Decodes a conversation's pictures, within the settings' bounds."""

    def __init__(self, settings: Callable[[], VisionSettings]) -> None:
        """Start nothing yet.

        Args:
            settings: Returns the settings that hold now.
        """
        self._settings = settings
        self._decoder = PictureDecoder()
        self._fetcher = PictureFetcher()
        self._threads = InterruptibleThreads(most=4)
        # A conversation may be written several times until it fits.
        self._read: WeakKeyDictionary[PictureSource, Picture] = WeakKeyDictionary()

    async def read(self, ask: Ask) -> Ask:
        """Return the conversation with its pictures decoded.

        Raises:
            ApiError: 400, one cannot be used, by its place; 503, there is no room for them now.
        """
        settings = self._settings()
        sources = list(_sources(*ask.messages))
        if len(sources) > settings.max_pictures:
            first = sources[settings.max_pictures]
            raise bad_field(
                first.place,
                f"it is picture {settings.max_pictures + 1} of {len(sources)}, and {settings.max_pictures} "
                "are taken (vision.max_pictures)",
                "leave old ones out, or raise vision.max_pictures in config.toml",
                code="too_many_images",
            )
        for source in sources:
            if source not in self._read:
                self._read[source] = await self._read_one(source, settings)
        return _with_parts(ask, lambda part: self._read[part] if isinstance(part, PictureSource) else part)

    def end(self) -> None:
        """End the processes."""
        self._decoder.end()

    async def _read_one(self, source: PictureSource, settings: VisionSettings) -> Picture:
        most_bytes = int(settings.max_picture_mb * 1e6)
        edge = min(settings.max_edge, _SMALL_EDGE) if source.is_small else settings.max_edge
        bounds = Bounds(most_bytes, int(settings.max_megapixels * 1e6), edge)
        text = _base64_of(source)
        if text is None:
            allowed = settings.allowed_hosts
            content = await self._fetcher.fetch(
                source.value, source.place, allowed_hosts=allowed, most_bytes=most_bytes
            )
            asked = Asked(content, False, bounds)
        else:
            asked = Asked(text.encode("ascii", "replace"), True, bounds)
        try:
            return await self._threads.run(
                lambda: self._decoder.decode(asked, source.place), within_s=_LONGEST_S
            )
        except TimeoutError as exc:
            why = f"its picture was not decoded within {_LONGEST_S:g} s"
            raise bad_field(source.place, why, "scale it down", code="image_parse_error") from exc


def without_pictures(
    ask: Ask, model: str, why: str = "it reads text alone", seeing: Sequence[str] = ()
) -> Ask:
    """Return the conversation for a model that does not see: a short text replaces each picture.

    Args:
        model: Its id.
        why: It does not see, a clause.
        seeing: Ids of models on this machine that do.

    Raises:
        ApiError: 400, the user's newest message shows one, so that the answer should be about it.
    """
    newest = newest_of_user([message.role for message in ask.messages])
    shown = None if newest is None else next(_sources(ask.messages[newest]), None)
    if shown:
        raise bad_field(
            shown.place,
            f"it is a picture, and the model {model!r} does not see: {why}",
            f"take a model that sees ({_named(seeing)}), or send text only",
            code="model_does_not_see",
        )
    return _with_parts(ask, lambda part: part if isinstance(part, str) else placeholder("image"))


def _named(seeing: Sequence[str]) -> str:
    names = ", ".join(seeing[:_MOST_NAMED])
    return f"such as {names}" if names else "/v1/models names what each can"


def _base64_of(source: PictureSource) -> str | None:
    """Return the base64 text of a source; None where it is elsewhere.

    Raises:
        ApiError: 400, a `data:` URL that is written in another way.
    """
    value = source.value.lstrip()
    if value[:5].lower() != "data:":
        return value if source.kind == "base64" else None
    head, comma, text = value.partition(",")
    if not comma or not head.lower().endswith(";base64"):
        why = "its data: address is not in base64"
        raise bad_field(source.place, why, "write it as data:image/png;base64,…", code="invalid_image_url")
    return text


def _sources(*messages: Message) -> Iterator[PictureSource]:
    return (part for each in messages for part in each.parts if isinstance(part, PictureSource))


def _with_parts(ask: Ask, change: Callable[[Part], Part]) -> Ask:
    def changed(message: Message) -> Message:
        if not message.has_pictures:
            return message
        parts = tuple(change(part) for part in message.parts)
        texts = [part for part in parts if isinstance(part, str)]
        return replace(message, text="\n".join(texts), parts=parts if len(texts) < len(parts) else ())

    return replace(ask, messages=tuple(map(changed, ask.messages)))
