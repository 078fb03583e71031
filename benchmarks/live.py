"""A live system that answers at once: both lists as bytes made beforehand, and nothing else.

python -m benchmarks.live POLICIES DELAY      prints its address, and serves until it is ended
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from benchmarks.corpus import ROOT, values

#: A list of NeoSC's without it is one that has just been made, and is read again.
MADE_AT = "2026-01-01T00:00:00Z"
NOBODY = b'{"detail": "not here"}'


def lists(count: int) -> dict[str, bytes]:
    """Return the body of each list by its path: *count* policies, as both systems would hold them after an apply."""
    share = count // 2
    neosc = [{key: value for key, value in each.items() if key != "metadata"} for each in values("neosc", share)]
    opena2a = [
        {"id": f"00000000-0000-4000-8000-{number:012}", "enabled": True}
        | {key: value for key, value in each.items() if key != "metadata"}
        for number, each in enumerate(values("opena2a", share))
    ]
    return {
        "/neosc/policies": json.dumps([{"enabled": True, "created_at": MADE_AT} | each for each in neosc]).encode(),
        "/opena2a/admin/security-policies": json.dumps({"policies": opena2a, "total": share}).encode(),
    }


def serve(count: int, delay: float) -> None:
    bodies = lists(count)
    total = str(count // 2)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            time.sleep(delay)
            body = bodies.get(self.path.partition("?")[0])
            self.send_response(404 if body is None else 200)
            body = NOBODY if body is None else body
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Total-Count", total)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


@contextmanager
def running(count: int, delay: float = 0.0) -> Iterator[str]:
    """Serve *count* policies in a process of its own, and give its address."""
    command = [sys.executable, "-m", "benchmarks.live", str(count), str(delay)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            yield process.stdout.readline().strip()
        finally:
            process.kill()


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]))
