#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy that lets so many requests a second through and answers the others with 503 SlowDown, as S3 does.

    throttle.py UPSTREAM_PORT REQUESTS_PER_SECOND

Prints its port, then a line of JSON each second: how many requests it has passed and refused since it started."""

import asyncio
import json
import sys
import time

BURST_S = 0.25  # what was not used in so many seconds may be used at once
REFUSAL = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class Gate:
    def __init__(self, per_s):
        self.per_s = per_s
        self.tokens = per_s * BURST_S
        self.at = time.monotonic()
        self.passed = self.refused = 0

    def opens(self):
        now = time.monotonic()
        self.tokens = min(self.per_s * BURST_S, self.tokens + (now - self.at) * self.per_s)
        self.at = now
        if self.tokens < 1:
            self.refused += 1
            return False
        self.tokens -= 1
        self.passed += 1
        return True


async def read_head(reader):
    """(first line, {lower-case name: value}, all of it), or None at the end of the connection."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    first, *lines = raw[:-4].split(b"\r\n")
    fields = (line.partition(b":") for line in lines)
    return first, {name.lower(): value.strip() for name, _, value in fields}, raw


async def carry(reader, writer, length):
    """LENGTH bytes from one to the other, or to nowhere."""
    while length:
        piece = await reader.read(min(length, 65536))
        if not piece:
            raise ConnectionError
        length -= len(piece)
        if writer:
            writer.write(piece)
            await writer.drain()


async def carry_answer(request, server, client):
    head = await read_head(server)
    if not head:
        raise ConnectionError
    first, fields, raw = head
    client.write(raw)
    if request.startswith(b"HEAD ") or first.split()[1] in (b"204", b"304"):
        return
    if b"chunked" not in fields.get(b"transfer-encoding", b""):
        await carry(server, client, int(fields.get(b"content-length", 0)))
        return
    while True:
        line = await server.readline()
        client.write(line)
        length = int(line.split(b";")[0], 16)
        await carry(server, client, length + 2)
        if length == 0:
            return


async def serve(gate, upstream_port, near, client):
    server = far = None
    try:
        while head := await read_head(near):
            first, fields, raw = head
            length = int(fields.get(b"content-length", 0))
            if not gate.opens():
                await carry(near, None, length)
                body = b"" if first.startswith(b"HEAD ") else REFUSAL
                client.write(b"HTTP/1.1 503 Slow Down\r\nContent-Length: %d\r\n\r\n" % len(REFUSAL) + body)
                continue
            if not server:
                far, server = await asyncio.open_connection("127.0.0.1", upstream_port)
            server.write(raw)
            await carry(near, server, length)
            await carry_answer(first, far, client)
            await client.drain()
    except (ConnectionError, ValueError):
        pass  # either side has gone: so does the other
    finally:
        for writer in filter(None, (server, client)):
            writer.close()


async def main():
    gate = Gate(float(sys.argv[2]))
    upstream_port = int(sys.argv[1])
    listener = await asyncio.start_server(lambda r, w: serve(gate, upstream_port, r, w), "127.0.0.1", 0, backlog=512)
    print(listener.sockets[0].getsockname()[1], flush=True)
    while True:
        await asyncio.sleep(1)
        print(json.dumps({"passed": gate.passed, "refused": gate.refused}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
