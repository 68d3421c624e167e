"""An answer on its way: the part a client has received, and the way it can continue."""

import re
import time
from collections.abc import Mapping
from enum import Enum

from starlette.types import Send

from local_ai.serving import sse
from local_ai.serving.dialects import Dialect, error_event, error_response, stream_event
from local_ai.serving.errors import ApiError

# An event's own fields come first; within a text the quotes would be escaped.
_SEQUENCE_NUMBER = re.compile(rb'^data: \{"type":"[\w.]+","sequence_number":(\d+)', re.MULTILINE)


class Sent(Enum):
    """The part of the answer that the client has received."""

    NOTHING = 0
    EVENTS = 1  # a stream that can still end with an error event
    BYTES = 2
    ALL = 3


class Reply:
    """The answer to one client."""

    def __init__(self, send: Send, dialect: Dialect) -> None:
        self.sent = Sent.NOTHING
        self._send = send
        self._dialect = dialect
        self._last = time.monotonic()
        self._writing = False
        self._has_spoken = False
        self._sequence_number = 0  # of the next event, where the dialect counts them

    @property
    def is_silent(self) -> bool:
        """True if the client has heard nothing of the answer itself yet; comments do not count."""
        return not self._has_spoken

    def quiet_s(self) -> float:
        """Seconds since something was last sent."""
        return time.monotonic() - self._last

    async def begin(self, status: int, headers: Mapping[str, str], sent: Sent) -> None:
        """Send status and headers, unless they have been sent."""
        if self.sent is not Sent.NOTHING:
            return
        self.sent = sent
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self._give({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, chunk: bytes) -> None:
        """Send a part of the answer."""
        self._has_spoken = True
        await self._give({"type": "http.response.body", "body": chunk, "more_body": True})

    async def pass_on_events(self, chunk: bytes) -> None:
        """Send whole events; what only says that it takes time leaves the client as good as untold."""
        if not self._has_spoken:
            self._has_spoken = sse.say_something(chunk)
        if self._dialect is Dialect.RESPONSES and (numbers := _SEQUENCE_NUMBER.findall(chunk)):
            self._sequence_number = int(numbers[-1]) + 1
        await self._give({"type": "http.response.body", "body": chunk, "more_body": True})

    async def comment(self, text: str) -> None:
        """Tell a stream's client that it is not forgotten; not while something else is on its way."""
        if self._writing:
            return
        framing = self._dialect.framing
        await self.begin(200, framing.headers, Sent.EVENTS)
        await self._give({"type": "http.response.body", "body": framing.comment(text), "more_body": True})

    async def end(self) -> None:
        """End the answer."""
        self.sent = Sent.ALL
        await self._give({"type": "http.response.body", "body": b"", "more_body": False})

    async def whole(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Give a whole answer; within a stream that has begun, it can only be an error."""
        if self.sent is Sent.NOTHING:
            await self.begin(status, {**headers, "content-length": str(len(body))}, Sent.BYTES)
            await self.write(body)
        else:
            error = body.decode("utf-8", "replace")
            await self.write(stream_event(self._dialect, error, sequence_number=self._sequence_number))
        await self.end()

    async def refuse(self, refusal: ApiError) -> None:
        """Refuse: with a status if none has been sent, within the stream if one runs."""
        match self.sent:
            case Sent.NOTHING:
                answer = error_response(self._dialect, refusal)
                await self.whole(refusal.status, dict(answer.headers), bytes(answer.body))
            case Sent.EVENTS:
                await self.write(error_event(self._dialect, refusal, sequence_number=self._sequence_number))
                await self.end()
            case _:
                # Nothing can be said within sound or an image: left unfinished, the server closes it.
                pass

    async def _give(self, message: dict[str, object]) -> None:
        self._writing = True
        try:
            await self._send(message)
        finally:
            self._writing = False
            self._last = time.monotonic()
