"""An engine that says one event after another as fast as it can: `python upstream.py SOCKET`."""

from __future__ import annotations

import asyncio
import json
import sys

_HEALTH = {"state": "ready", "since": 0, "model": None, "running": 0, "waiting": 0, "text": "mlx-lm"}
_CHUNK = {"index": 0, "delta": {"content": "word "}, "finish_reason": None}
_EVENT = b"data: " + json.dumps({"id": "1", "model": "tiny", "choices": [_CHUNK]}).encode() + b"\n\n"
_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            body = await reader.readexactly(size)
            await (_stream(writer, json.loads(body)["max_tokens"]) if body else _health(writer))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _stream(writer: asyncio.StreamWriter, events: int) -> None:
    writer.write(_STREAM)
    for _ in range(events):
        # Each by itself, as tokens come, whatever the other streams do meanwhile.
        writer.write(b"%x\r\n%s\r\n" % (len(_EVENT), _EVENT))
        await writer.drain()
        await asyncio.sleep(0)
    writer.write(b"0\r\n\r\n")
    await writer.drain()


async def _health(writer: asyncio.StreamWriter) -> None:
    body = json.dumps(_HEALTH).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    writer.write(head % len(body) + body)


async def _main() -> None:
    async with await asyncio.start_unix_server(_serve, sys.argv[1]) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main())
