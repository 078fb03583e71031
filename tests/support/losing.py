"""A way to a server on which replies get lost: the server has carried out what was asked, and nobody hears of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

#: Whether the reply to a request that begins so gets lost.
Loses = Callable[[bytes], bool]


@contextmanager
def losing(url: str, loses: Loses) -> Iterator[str]:
    """The same URL by another port; *loses* is asked about the first line of each connection's first request."""
    upstream = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stopped = threading.Event()

        def accept() -> None:
            while not stopped.is_set():
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=_carry, args=(client, upstream.hostname, upstream.port, loses)).start()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}{upstream.path}"
        finally:
            stopped.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _carry(client: socket.socket, host: str, port: int, loses: Loses) -> None:
    """Carry bytes both ways until one side ends; a reply that gets lost is read to its beginning, and no further."""
    with client, socket.create_connection((host, port)) as server, suppress(OSError):
        first = client.recv(65536)
        if not first:
            return
        is_lost = loses(first.split(b"\r\n")[0])
        server.sendall(first)
        forward = threading.Thread(target=_pump, args=(client, server))
        forward.start()
        if is_lost:
            server.recv(65536)  # it has been carried out
            client.shutdown(socket.SHUT_RDWR)
        else:
            _pump(server, client)
        forward.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
