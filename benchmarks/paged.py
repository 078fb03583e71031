"""A live system with more policies than one reply holds: its lists come whole or in parts, as our own server's do.

python -m benchmarks.paged POLICIES      prints its address, and serves until it is ended
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks.corpus import ROOT, TARGETS, make_repository, seeds_of, values, write_config
from benchmarks.live import MADE_AT, NOBODY
from benchmarks.measure import reconciler

PART = 1000


@dataclass(frozen=True)
class LongList:
    """One list: how its JSON begins and ends, and its policies, each as the bytes it takes there."""

    opening: bytes
    closing: bytes
    policies: list[bytes]

    def part(self, first: int, count: int) -> tuple[bytes, dict[str, str]]:
        """Return *count* policies from *first* on, and the headers that go with them."""
        after = first + count
        headers = {"X-Total-Count": str(len(self.policies)), "X-Capabilities": "cursors", "ETag": '"list"'}
        if after < len(self.policies):
            headers["X-Next-Cursor"] = str(after)
        return self.opening + b",".join(self.policies[first:after]) + self.closing, headers


def many(target: str, count: int) -> Iterator[dict[str, Any]]:
    """Yield what `corpus.values` does, but each of the seeds is parsed once."""
    seeds = list(values(target, len(seeds_of(target))))
    for number in range(count):
        policy = {key: value for key, value in seeds[number % len(seeds)].items() if key != "metadata"}
        policy["name"] = f"{policy['name'].rpartition(' ')[0]} {number:06}"
        if target == "neosc":
            yield {"enabled": True, "created_at": MADE_AT, **policy, "id": f"pol-{number:06}"}
        else:
            yield {"id": f"00000000-0000-4000-8000-{number:012}", "enabled": True, **policy}


def lists(count: int) -> dict[str, LongList]:
    """Return each list by its path: *count* policies in all, as both systems would hold them after an apply."""
    share = count // 2
    made = {target: [json.dumps(policy).encode() for policy in many(target, share)] for target in ("neosc", "opena2a")}
    return {
        "/neosc/policies": LongList(b"[", b"]", made["neosc"]),
        "/opena2a/admin/security-policies": LongList(b'{"policies": [', b'], "total": %d}' % share, made["opena2a"]),
    }


def serve(count: int) -> None:
    found = lists(count)
    wholes = {path: each.part(0, count) for path, each in found.items()}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            query = parse_qs(asked.query)
            status, body, headers = 404, NOBODY, dict[str, str]()
            if asked.path in found and "limit" in query:
                first = int(query.get("cursor", ["0"])[0])
                status, (body, headers) = 200, found[asked.path].part(first, min(int(query["limit"][0]), PART))
            elif asked.path in found:
                status, (body, headers) = 200, wholes[asked.path]
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Whoever sees that a list is too long does not stay for the rest of it."""

    server = Server(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


@contextmanager
def running(count: int) -> Iterator[str]:
    """Serve *count* policies in a process of its own, and give its address."""
    command = [sys.executable, "-m", "benchmarks.paged", str(count)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def make_applied(policies: int, url: str) -> Path:
    """Return a repository whose ledgers record every policy, as an apply leaves it that found nothing to change."""
    folder = make_repository(policies, per_file=100, url=url)
    copy = folder.with_name(f"{folder.name}-applied")
    if not (copy / "applied").exists():
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        for target in TARGETS:
            reconciler("apply", "--yes", "--target", target, folder=copy)()
        (copy / "applied").touch()
    write_config(copy, url)
    return copy


if __name__ == "__main__":
    serve(int(sys.argv[1]))
