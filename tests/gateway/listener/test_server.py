"""The public listener."""

import socket

from local_ai.gateway.listener.server import listen


def test_a_response_in_two_pieces_does_not_wait_for_an_acknowledgement():
    """The loop sets TCP_NODELAY only on sockets that name their protocol; else a body waits 40 ms."""
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP
