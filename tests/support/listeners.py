"""A listener on every address of this machine that answers nothing and only counts who came, with what."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Listener:
    """`received` has one entry for each connection: the bytes that came with it."""

    port: int
    received: list[bytes] = field(default_factory=list)


@contextmanager
def listener() -> Iterator[Listener]:
    """IPv4 and IPv6, so that no spelling of this machine's addresses gets past it."""
    if socket.has_dualstack_ipv6():
        server = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    else:
        server = socket.create_server(("0.0.0.0", 0))
    found, over = Listener(server.getsockname()[1]), threading.Event()
    server.settimeout(0.05)

    def watch() -> None:
        # One more round once it is over: who connected in time is counted, however late we are.
        last = False
        while not last:
            last = over.is_set()
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            last = False
            with connection:
                connection.settimeout(0.2)
                data = b""
                with contextlib.suppress(OSError):
                    data = connection.recv(65_536)
                found.received.append(data)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
        server.close()
