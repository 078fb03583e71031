"""The anchor of `apply`: the calls that it makes, from a bare loop of threads over `httpx.Client`, and nothing else.

python -m benchmarks.bare URL TARGET CONCURRENCY LISTS      for the server of benchmarks/live_writes.py

Each thread has a client that keeps its connection, for reads, and one that keeps none, for what cannot be repeated.
Nothing is checked, compared, remembered or waited for.
"""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

HEADERS = {
    "User-Agent": "reconciler/0 (commit 0123456789abcdef0123456789abcdef01234567)",
    "Authorization": "Bearer benchmark-token-0123456789abcdef",
}
#: Where the list is, for each target.
LISTS = {"neosc": "/neosc/policies", "opena2a": "/opena2a/admin/security-policies"}


class Clients(threading.local):
    """Two clients of the thread that asks."""

    def __init__(self, url: str) -> None:
        once = httpx.Limits(max_keepalive_connections=0)
        self.keeping = httpx.Client(base_url=url, headers=HEADERS, trust_env=False)
        self.fresh = httpx.Client(base_url=url, headers=HEADERS, trust_env=False, limits=once)


def main(url: str, target: str, concurrency: int, lists: int) -> None:
    clients, path = Clients(url), LISTS[target]

    def toggle(policy: dict[str, Any]) -> None:
        clients.fresh.patch(f"{path}/{policy['id']}", json={})

    def update(policy: dict[str, Any]) -> None:
        clients.keeping.get(f"{path}/{policy['id']}")
        clients.fresh.put(f"{path}/{policy['id']}", json=policy)
        clients.keeping.get(f"{path}/{policy['id']}")

    found = clients.keeping.get(path).json()
    with ThreadPoolExecutor(concurrency) as pool:
        list(pool.map(toggle, found) if target == "neosc" else pool.map(update, found["policies"]))
    for _ in range(lists - 1):
        clients.keeping.get(path)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
