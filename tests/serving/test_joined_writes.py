"""What is written in one turn of the event loop is sent together."""

import asyncio

from tests import coroutines

from local_ai.serving.joined_writes import JoinedWrites


class _Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bytes] = []

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.seen.append(data)

    def close(self) -> None:
        self.seen.append(b"(closed)")

    def get_write_buffer_size(self) -> int:
        return 100


def test_writes_of_one_turn_are_one():
    async def run() -> None:
        transport = _Transport()
        joined = JoinedWrites(transport)

        joined.write(b"head ")
        joined.write(b"event")
        assert (transport.seen, joined.get_write_buffer_size()) == ([], 110)

        await asyncio.sleep(0)
        joined.write(b"next")
        await asyncio.sleep(0)
        assert transport.seen == [b"head event", b"next"]

    coroutines.run(run())


def test_what_was_written_is_sent_before_the_connection_closes():
    async def run() -> None:
        transport = _Transport()
        joined = JoinedWrites(transport)

        joined.write(b"refused")
        joined.close()

        await asyncio.sleep(0)
        assert transport.seen == [b"refused", b"(closed)"]

    coroutines.run(run())
