"""Running the application: a socket and a server on it, until stopped, or in a thread for the length of a block."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import uvicorn

from reconciler.errors import ReconcilerError
from reconciler.server.edge import STOPPING, Receive, Send


def open_socket(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. A port that is taken is an error before anything else happens."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay off only where the protocol is named; without it every reply waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise ReconcilerError(
            f"cannot listen on {host} port {port}: {error.strerror or error}",
            where="--port",
            fix="stop whatever uses the port, or choose another with --port (0 takes a free one)",
            code="serve-port",
        ) from error
    return listener


def url_of(listener: socket.socket) -> str:
    """The address to give to people: `http://127.0.0.1:8800`."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make_server(app: Any) -> uvicorn.Server:
    """A server that says nothing about itself, logs no requests, and waits five seconds for the last replies.

    Replies without an end learn from the scope that it is about to stop.
    """

    async def told(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        scope[STOPPING] = lambda: server.should_exit
        await app(scope, receive, send)

    server = uvicorn.Server(
        uvicorn.Config(
            told,
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=5,
            backlog=1024,
        )
    )
    return server


def run(app: Any, listener: socket.socket) -> None:
    """Serve until a signal says stop, finish what is open, then let the signal have its effect (KeyboardInterrupt)."""
    with listener:
        make_server(app).run(sockets=[listener])


@contextmanager
def running(app: Any, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """The application at a URL for the length of the block, in a thread that has ended when the block has."""
    with open_socket(host, port) as listener:
        server = make_server(app)
        thread = threading.Thread(target=server.run, args=([listener],), name="reference-server", daemon=True)
        thread.start()  # the socket listens already: whoever connects before the loop runs is only kept waiting
        try:
            yield url_of(listener)
        finally:
            server.should_exit = True
            thread.join()
