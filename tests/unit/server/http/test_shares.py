"""One client, however hostile, does not take the places and the memory of the others."""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import time

import pytest

from dolium.asgi.messages import Receive, Scope, Send
from dolium.server.http.accept import Acceptor, Balance
from dolium.server.http.options import LOOPBACK, HttpOptions
from dolium.server.http.server import HttpServer, _peer
from tests.unit.server.http.conftest import Serve
from tests.unit.server.http.live import Live, Peer, Recorder, get, messages, piece, request, start


def from_address(live: Live, address: str) -> Peer:
    sock = socket.create_connection(("127.0.0.1", live.port), source_address=(address, 0))
    peer = Peer(sock)
    live._peers.append(peer)
    return peer


def test_one_address_leaves_room_for_others(serve: Serve) -> None:
    live = serve(Recorder(), uncounted=(), max_per_peer=3)
    mine = [live.peer() for _ in range(3)]
    for peer in mine:
        assert peer.send(get("/mine")).answer().status == 200
    one_more = live.peer().send(get())
    refusal = one_more.answer()
    assert (refusal.status, refusal.get(b"retry-after"), one_more.ended()) == (503, b"1", "eof")
    assert from_address(live, "127.0.0.2").send(get("/other")).answer().status == 200
    mine[0].close()
    for _ in range(200):
        if live.server.peers.held("127.0.0.1") == 2:
            break
        time.sleep(0.01)
    assert live.ask(get("/again")).status == 200


def test_a_flood_from_one_address_is_cut_off_and_forgotten(serve: Serve) -> None:
    live = serve(Recorder(), uncounted=(), max_per_peer=2, linger_idle=0.2)
    flood = [live.peer() for _ in range(40)]
    told = 0
    for peer in flood[2:]:
        data, how = peer.rest()
        told += data.startswith(b"HTTP/1.1 503")
        assert data.startswith(b"HTTP/1.1 503") or how == "reset"
    assert told == 16  # politeness has an end
    assert from_address(live, "127.0.0.3").send(get("/other")).answer().status == 200
    for peer in live._peers:
        peer.close()
    for _ in range(200):
        if not live.server.connections:
            break
        time.sleep(0.01)
    assert (live.server.peers.taken, live.server._rude.taken) == (0, 0)


def test_loopback_is_a_proxys_and_not_counted(serve: Serve) -> None:
    live = serve(Recorder(), max_per_peer=1)
    for _ in range(5):
        assert live.peer().send(get("/x")).answer().status == 200
    assert live.server.peers.taken == 0


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", None),
        ("::ffff:127.0.0.9", None),
        ("::1", None),
        ("10.1.2.3", None),
        ("", None),
    ],
)
def test_who_is_counted_as_one(address: str, peer: str | None) -> None:
    assert _peer(address, (*LOOPBACK, ipaddress.ip_network("10.1.0.0/16"))) == peer


def test_those_in_a_handshake_are_counted_too(tls: ssl.SSLContext) -> None:
    """A TLS handshake that never comes must not get around the limits."""

    async def main(options: HttpOptions) -> list[bool]:
        server = HttpServer(Recorder(), options)
        listening = socket.create_server(("127.0.0.1", 0))
        balance = Balance(1)
        balance.join(0)
        acceptor = Acceptor(server, listening, tls, balance)
        opened = [await asyncio.open_connection(*listening.getsockname()) for _ in range(4)]
        ended = []
        for reader, _ in opened:
            try:
                ended.append(await asyncio.wait_for(reader.read(), 0.2) == b"")
            except TimeoutError:
                ended.append(False)
        for _, writer in opened:
            writer.close()
        await acceptor.close()
        assert (server.opening, server.peers.taken) == (0, 0)
        await server.close()
        return ended

    assert asyncio.run(main(HttpOptions(uncounted=(), max_per_peer=2))) == [False, False, True, True]
    assert asyncio.run(main(HttpOptions(max_per_peer=2))) == [False] * 4


def test_answers_that_nobody_reads_are_bounded_together(serve: Serve) -> None:
    """Whoever has waited longest is dropped, and nobody who reads."""
    size = 16 << 20  # the kernel takes some of it
    live = serve(messages(start(), piece(b"x" * size)), max_unsent=14 << 20)
    first = live.peer(receive_buffer=65536).send(get())
    live.settle(1)
    assert first.silent(0.1) is False
    second = live.peer(receive_buffer=65536).send(get())
    assert second.line() == b"HTTP/1.1 200 OK"
    assert first.rest()[1] == "reset"
    while second.line():
        pass
    second.take(size)
    live.settle(0)
    assert live.server._unsent_sum == 0


def test_bodies_that_wait_share_one_room(serve: Serve) -> None:
    """The more there are, the less each may have."""

    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(60)

    live = serve(never, body_buffer=1 << 20, all_buffers=2 << 20, least_buffer=64 << 10)
    assert live.server.body_room == 1 << 20
    peers = [live.peer().send(request("PUT", "/", "Content-Length: 9000000")) for _ in range(8)]
    live.settle(8)
    assert live.server.body_room == 256 << 10
    for peer in peers:
        peer.sock.setblocking(False)
    for _ in range(20):
        for peer in peers:
            with contextlib.suppress(BlockingIOError):
                peer.sock.send(b"x" * (1 << 20))
        time.sleep(0.01)

    async def waiting() -> int:
        return sum(one.active.buffered for one in live.server.connections if one.active is not None)

    # A read that is under way may go beyond by one piece of uvloop's, 256 KiB.
    assert (2 << 20) <= live.call(waiting()) <= (4 << 20)
