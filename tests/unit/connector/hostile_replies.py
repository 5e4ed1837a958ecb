"""Replies that attack a client: by their headers, their framing, their size, or because they never end."""

import gzip

from settlement.calls import Rule
from tests.unit.connector.raw_broker import FAILURE, SUCCESS, Answer, Peer, closing_after, reply, sending

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(SUCCESS)
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNK = b"%x\r\n%b\r\n" % (len(SUCCESS), SUCCESS)
BROKEN, LATE = {Rule.CONNECTION_BROKEN}, {Rule.DEADLINE}
BLOCK = 64 * 1024


def flooding(first: bytes, block: bytes) -> Answer:
    """Send `first`, and then `block` again and again until the client disconnects."""

    async def answer(peer: Peer) -> None:
        await peer.send(first)
        while True:
            await peer.send(block * (BLOCK // len(block)))

    return answer


def dripping(first: bytes, byte: bytes) -> Answer:
    """Send `first`, and then one byte at a time until the client disconnects."""

    async def answer(peer: Peer) -> None:
        await peer.send(first)
        while not await peer.disconnected_within(0.01):
            await peer.send(byte)

    return answer


def with_head(head: bytes) -> Answer:
    """Send a head and a successful body, then close the connection."""
    return closing_after(head + b"\r\n" + SUCCESS)


HEADS: dict[str, Answer] = {
    "status line of 64 KiB": with_head(b"HTTP/1.1 200 " + b"O" * BLOCK + b"\r\n" + LENGTH),
    "header of 64 KiB": with_head(OK + b"X: " + b"x" * BLOCK + b"\r\n" + LENGTH),
    "header name of 64 KiB": with_head(OK + b"x" * BLOCK + b": x\r\n" + LENGTH),
    "10000 headers": with_head(OK + b"X: x\r\n" * 10_000 + LENGTH),
    "HTTP/0.9": closing_after(SUCCESS),
    "HTTP/9.9": with_head(b"HTTP/9.9 200 OK\r\n" + LENGTH),
    "another protocol": with_head(b"ICY 200 OK\r\n" + LENGTH),
    "TLS": closing_after(b"\x16\x03\x01\x02\x00" + b"\x00" * 50),
    "status of four digits": with_head(b"HTTP/1.1 2000 OK\r\n" + LENGTH),
    "negative status": with_head(b"HTTP/1.1 -200 OK\r\n" + LENGTH),
    "blank within the status": with_head(b"HTTP/1.1 2 00 OK\r\n" + LENGTH),
    "NUL in a header": with_head(OK + b"X: a\x00b\r\n" + LENGTH),
    "header without a colon": with_head(OK + b"X\r\n" + LENGTH),
    "blank before the colon": with_head(OK + b"X : x\r\n" + LENGTH),
    "body of an interim reply": closing_after(b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nabcde" + reply()),
}
LENGTHS: dict[str, Answer] = {
    "longer than the body": with_head(OK + b"Content-Length: %d\r\n" % (len(SUCCESS) + 1)),
    "shorter than the body": with_head(OK + b"Content-Length: %d\r\n" % (len(SUCCESS) - 1)),
    "zero": with_head(OK + b"Content-Length: 0\r\n"),
    "twice": with_head(OK + LENGTH + LENGTH),
    "two of them": with_head(OK + LENGTH + b"Content-Length: 5\r\n"),
    "a list": with_head(OK + b"Content-Length: %d, %d\r\n" % (len(SUCCESS), len(SUCCESS))),
    "negative": with_head(OK + b"Content-Length: -1\r\n"),
    "with a sign": with_head(OK + b"Content-Length: +%d\r\n" % len(SUCCESS)),
    "of 40 digits": with_head(OK + b"Content-Length: " + b"9" * 40 + b"\r\n"),
    "hexadecimal": with_head(OK + b"Content-Length: 0x23\r\n"),
    "beside chunks": closing_after(OK + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK + b"0\r\n\r\n"),
}
CHUNKS: dict[str, Answer] = {
    "cut before the last chunk": closing_after(CHUNKED + CHUNK),
    "cut in the end": closing_after(CHUNKED + CHUNK + b"0\r\n"),
    "size of 40 digits": closing_after(CHUNKED + b"f" * 40 + b"\r\n" + SUCCESS),
    "negative size": closing_after(CHUNKED + b"-1\r\n" + SUCCESS),
    "size with a prefix": closing_after(CHUNKED + b"0x23\r\n" + SUCCESS + b"\r\n0\r\n\r\n"),
    "no size": closing_after(CHUNKED + b"\r\n" + SUCCESS),
    "more than its size": closing_after(CHUNKED + CHUNK[:-2] + b"XX0\r\n\r\n"),
    "10000 trailers": closing_after(CHUNKED + CHUNK + b"0\r\n" + b"X: x\r\n" * 10_000 + b"\r\n"),
    "trailer of 64 KiB": closing_after(CHUNKED + CHUNK + b"0\r\nX: " + b"x" * BLOCK + b"\r\n\r\n"),
}
ACCEPTABLE: dict[str, Answer] = {
    "interim replies first": sending(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 P\r\n\r\n", reply()
    ),
    "extensions of a chunk": sending(CHUNKED + CHUNK.replace(b"\r\n", b';a=b;c="d"\r\n', 1) + b"0\r\n\r\n"),
    "a trailer": sending(CHUNKED + CHUNK + b"0\r\nX: x\r\n\r\n"),
    "no reason": with_head(b"HTTP/1.1 200\r\n" + LENGTH),
    "a reason in Latin-1": with_head(b"HTTP/1.1 200 \xe9\xff\r\n" + LENGTH),
    "a header in Latin-1": with_head(OK + b"X: \xff\xfe\r\n" + LENGTH),
    "an invalid media type": with_head(OK + b'Content-Type: ;;;="\r\n' + LENGTH),
    "an unknown charset": with_head(OK + b"Content-Type: application/json; charset=no-such\r\n" + LENGTH),
    **{
        f"a charset of {charset}": with_head(
            OK + b"Content-Type: application/json; charset=%b\r\n" % charset.encode() + LENGTH
        )
        for charset in ("utf-8", "UTF-8", '"utf8"', "iso-8859-1", "utf-16", "gbk")
    },
    "a media type of text": with_head(OK + b"Content-Type: text/html; charset=utf-8\r\n" + LENGTH),
    "a byte order mark": sending(reply(b"\xef\xbb\xbf" + SUCCESS, "Content-Type: application/json; charset=utf-8")),
    "a byte order mark in a separate chunk": sending(CHUNKED + b"3\r\n\xef\xbb\xbf\r\n" + CHUNK + b"0\r\n\r\n"),
    "an invalid cookie": with_head(OK + b"Set-Cookie: \x80;;=\r\n" + LENGTH),
}
"""Unusual replies that are complete and unambiguous."""

ENDLESS: dict[str, tuple[Answer, set[Rule]]] = {
    "status line": (flooding(b"HTTP/1.1 200 ", b"O"), BROKEN),
    "version": (flooding(b"HTTP/1", b"1"), BROKEN),
    "header": (flooding(OK + b"X: ", b"x"), BROKEN),
    "header name": (flooding(OK, b"x"), BROKEN),
    "headers": (flooding(OK, b"X: x\r\n"), BROKEN),
    "blank lines": (flooding(b"", b"\r\n"), LATE),
    "100 Continue": (flooding(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), LATE),
    "103 Early Hints": (flooding(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), LATE),
    "101 and what follows": (
        flooding(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", b"x"),
        {Rule.HTTP_STATUS},
    ),
    "extension of a chunk": (flooding(CHUNKED + b"5;", b"a=b;"), LATE),
    "chunks with extensions": (flooding(CHUNKED, b"1;" + b"a" * 60 + b"\r\n \r\n"), {Rule.OVERSIZED, Rule.DEADLINE}),
    "zeros of a chunk's size": (flooding(CHUNKED, b"0"), LATE),
    "trailers": (flooding(CHUNKED + CHUNK + b"0\r\n", b"X: x\r\n"), BROKEN),
    "trailer": (flooding(CHUNKED + CHUNK + b"0\r\nX: ", b"x"), BROKEN),
    "body": (flooding(OK + b"Content-Length: 10000000000\r\n\r\n", b" "), {Rule.OVERSIZED}),
    "replies": (flooding(reply(status="500 X"), reply(FAILURE)), {Rule.HTTP_STATUS, *BROKEN}),
    "body, byte by byte": (dripping(OK + b"Content-Length: 60000\r\n\r\n", b" "), LATE),
    "head, byte by byte": (dripping(OK + b"X: ", b"x"), LATE),
}
"""Replies without an end, and the rules by which the call may end."""

COMPRESSED = closing_after(reply(gzip.compress(SUCCESS), "Content-Encoding: gzip"))
