"""A proxy in front of PostgreSQL that can freeze, like a network that is cut."""

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from sqlalchemy import URL

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Proxy:
    """Forwards bytes to a server unless it is frozen."""

    def __init__(self, server: URL) -> None:
        self.url = server
        self.tasks: set[asyncio.Task[None]] = set()
        self.freezes_at: bytes | None = None
        self._clients: list[asyncio.StreamWriter] = []
        self._server = server
        self._open = asyncio.Event()
        self._open.set()

    def freeze(self) -> None:
        """Forward nothing any more. Connections stay open."""
        self._open.clear()

    def freeze_at(self, words: bytes) -> None:
        """Freeze when a client sends them."""
        self.freezes_at = words

    def thaw(self) -> None:
        self.freezes_at = None
        self._open.set()

    def thaw_for_new_connections(self) -> None:
        """Forward the bytes of new connections. Existing connections stay frozen."""
        self._open = asyncio.Event()
        self._open.set()

    def reset(self) -> None:
        """Reset all connections, as a load balancer does with those that were idle for too long."""
        for writer in self._clients:
            if writer.is_closing():
                continue
            at_once = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
            writer.transport.abort()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.append(writer)
        task = asyncio.create_task(self._serve((reader, writer)))
        self.tasks.add(task)

    async def _serve(self, client: Stream) -> None:
        server = await self._connect()
        with suppress(OSError, asyncio.CancelledError):
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(client[0], server[1], self._open))
                group.create_task(self._pass_on(server[0], client[1], self._open))
        for _, writer in (client, server):
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_open: asyncio.Event
    ) -> None:
        while block := await reader.read(65536):
            if self.freezes_at and self.freezes_at in block:
                self.freeze()
            await is_open.wait()
            writer.write(block)
            await writer.drain()
        writer.close()

    async def _connect(self) -> Stream:
        folder = self._server.query.get("host")
        port = self._server.port or 5432
        if isinstance(folder, str):
            return await asyncio.open_unix_connection(str(Path(folder) / f".s.PGSQL.{port}"))
        return await asyncio.open_connection(self._server.host, port)


@asynccontextmanager
async def proxy_to(server: URL) -> AsyncGenerator[Proxy]:
    """Yield a proxy; `proxy.url` is the server's URL through it."""
    proxy = Proxy(server)
    listening = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    query = {name: value for name, value in server.query.items() if name != "host"}
    proxy.url = server.set(host="127.0.0.1", port=port, query=query)
    try:
        yield proxy
    finally:
        listening.close()
        for task in proxy.tasks:
            task.cancel()
        await asyncio.gather(*proxy.tasks, return_exceptions=True)
