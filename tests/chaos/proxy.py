"""A network between clients and a server that can be cut, silenced or slowed down: a TCP proxy on loopback."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Self

from driftline.sandbox.process import free_port

CHUNK = 65_536


class Proxy:
    """Passes bytes between clients of `port` and the server on `target` (both on 127.0.0.1), until told otherwise.

    A context manager; everything but `port` may be changed from any thread at any time.
    """

    def __init__(self, target: int = 0) -> None:
        self.port = free_port()
        self._target = target
        self._refusing = False
        self._delay_s = 0.0
        self._lines: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._passing = asyncio.Event()
        self._passing.set()
        self._ready = Event()
        self._thread = Thread(target=self._run, name=f"proxy {self.port}", daemon=True)

    # faults

    def cut(self) -> None:
        """Break all connections, and refuse new ones."""
        self._refusing = True
        self._do(self._break_all)

    def silence(self) -> None:
        """Keep connections, pass nothing: what a lost cable looks like."""
        self._do(self._passing.clear)

    def slow_down(self, delay_s: float) -> None:
        """Hold back each piece that passes, in both directions."""
        self._delay_s = delay_s

    def heal(self) -> None:
        """End all faults."""
        self._refusing = False
        self._delay_s = 0.0
        self._do(self._passing.set)

    def lead_to(self, target: int) -> None:
        """Break all connections, and lead new ones to another server. The first one may be named late."""
        self._target = target
        self._do(self._break_all)

    # passing

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._loop.stop)
        self._thread.join(10)

    def _do(self, action: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(action)

    def _break_all(self) -> None:
        for line in self._lines:
            line.transport.abort()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self._ready.set()
        self._loop.run_forever()
        server.close()
        self._break_all()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._lines.add(writer)
        onward = None
        try:
            if self._refusing:
                return
            back, onward = await asyncio.open_connection("127.0.0.1", self._target)
            self._lines.add(onward)
            await asyncio.gather(self._pass(reader, onward), self._pass(back, writer))
        except OSError:
            pass  # the server is down: so is this connection
        finally:
            for line in (writer, onward):
                if line is not None:
                    line.transport.abort()
                    self._lines.discard(line)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._passing.wait()
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
