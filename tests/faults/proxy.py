"""A proxy before PostgreSQL that has a session terminated at a given message of its client."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from faults.postgres_process import PostgresProcess

CHUNK = 2**16


class Proxy:
    """Passes on what is sent, and counts what clients send: one chunk for each round trip."""

    def __init__(self, postgres: PostgresProcess, port: int) -> None:
        self.port = port
        self.sent = 0
        self.writers: list[asyncio.StreamWriter] = []
        self._postgres = postgres
        self._fault_at: int | None = None
        self._after = False
        self._connected = asyncio.Event()
        self._connected.set()

    def cut(self) -> None:
        """Pass nothing on from now on, as a network that is cut: nobody is told."""
        self._connected.clear()

    def mend(self) -> None:
        """Pass on what comes in new connections. The old ones are closed."""
        for writer in self.writers:
            writer.close()
        self.writers.clear()
        self._connected.set()

    def terminate_at(self, number: int | None, *, after: bool = False) -> None:
        """Have the session terminated just before a chunk is passed on, or when the response to it comes.

        Chunks are counted from now on. The response to the chunk never arrives.
        """
        self.sent, self._fault_at, self._after = 0, number, after

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            upstream = await asyncio.open_connection("127.0.0.1", self._postgres.port)
        except OSError:  # the server is down
            writer.close()
            return
        self.writers += [writer, upstream[1]]
        port = upstream[1].get_extra_info("sockname")[1]

        async def to_server(chunk: bytes) -> None:
            await self._connected.wait()
            self.sent += 1
            due = self.sent == self._fault_at
            if due and not self._after:
                await asyncio.to_thread(self._terminate, port)
            upstream[1].write(chunk)
            if due and self._after:
                responding.clear()  # what comes back from now on is dropped
                await asyncio.sleep(0.2)
                await asyncio.to_thread(self._terminate, port)
                writer.close()

        async def to_client(chunk: bytes) -> None:
            await self._connected.wait()
            if responding.is_set():
                writer.write(chunk)

        responding = asyncio.Event()
        responding.set()
        await asyncio.gather(
            pump(reader, upstream[1], to_server), pump(upstream[0], writer, to_client)
        )

    def _terminate(self, port: int) -> None:
        self._postgres.terminate_sessions(f"client_port = {port}")


async def pump(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    pass_on: Callable[[bytes], Awaitable[None]],
) -> None:
    with suppress(OSError):
        while chunk := await reader.read(CHUNK):
            await pass_on(chunk)
    writer.close()


@asynccontextmanager
async def proxying(postgres: PostgresProcess, port: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(postgres, port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", port)
    try:
        yield proxy
    finally:
        server.close()
        for writer in proxy.writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
