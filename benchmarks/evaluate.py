"""One event against 100 enabled policies: inside the engine, and as a whole request of the reference server.

Every policy is in scope of every event; about one event in three violates one of them. The bare loop does by hand, for
the same events, what as many policies cannot do without: one comparison for each that looks at one event, one deque per
key for each that remembers. It knows no scope, no missing column and no reasons: it is the floor, no alternative.

    python -m benchmarks.evaluate [EVENTS]

The engine is timed around `Engine.step`, in wall time and in processor time of its thread: where others are at work,
the first says more about them. A whole request is HTTP over loopback, the transaction on a SQLite file, the records.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.client import HTTPConnection
from typing import Any

from reconciler.semantics.compile import compile_policy
from reconciler.semantics.decide import Engine, Mode
from reconciler.semantics.events import Event, parse_event
from reconciler.semantics.nodes import is_stateful
from reconciler.semantics.program import Program

START_US = 1_772_409_600_000_000
ROUNDS = 5


def policies() -> list[dict[str, Any]]:
    """100 policies: 70 that look at one event, 30 that remember, 16 types in all."""
    stateless = [
        lambda n: ("trust_score", {"min_trust_score": n % 35}),
        lambda n: ("ip_allowlist", {"allowed_ips": ["10.0.0.0/8", f"192.168.{n}.0/24"], "denied_ips": [f"10.{n}.0.1"]}),
        lambda n: ("unauthorized_access", {"restricted_resources": [f"hr/*/{n}/**", f"secret-{n}/**"]}),
        lambda n: ("unauthorized_access", {"allowed_hours_start": 0, "allowed_hours_end": 23}),
        lambda n: ("access_control", {"denied_roles": [f"guest-{n}"], "allowed_countries": ["EU", "US"]}),
        lambda n: ("data_access", {"data_types": ["pii", "phi"], "max_records_per_request": 100 + n}),
        lambda n: ("data_protection", {"data_types": ["pii"], "require_encryption": True}),
        lambda n: ("capability_violation", {}),
        lambda n: ("mcp_min_trust", {"min_trust_score": 30 + n % 30}),
        lambda n: ("mcp_blocklist", {"blocked_domains": [f"*.evil-{n}.example"]}),
        lambda n: ("mcp_allowlist", {"allowed_domains": ["*.example.com", f"mcp-{n}.example"]}),
        lambda n: ("mcp_capabilities", {"forbidden_capabilities": ["shell:*", f"admin-{n}:*"]}),
        lambda n: ("mcp_high_risk", {}),
        lambda n: ("audit_logging", {"required_fields": ["source_ip", "session_id"]}),
    ]
    stateful = [
        lambda n: ("rate_limit", {"max_requests_per_minute": 50 + n}),
        lambda n: ("rate_limit", {"max_requests": 500 + n, "window_size": "10m", "key": "source_ip"}),
        lambda n: ("rate_limit", {"max_requests_per_hour": 1000 + n, "window_type": "tumbling", "key": "tenant"}),
        lambda n: ("unusual_activity", {"api_rate_threshold": 100 + n, "time_window_minutes": 5}),
        lambda n: ("unusual_activity", {"check_unusual_patterns": True, "unusual_pattern_threshold": 5 + n}),
        lambda n: ("data_exfiltration", {"data_threshold_mb": 10 + n, "patterns": ["export_all"]}),
        lambda n: ("config_drift", {"check_capability_changes": True, "check_permission_escalation": True}),
        lambda n: ("auth_failure", {"max_attempts": 3 + n}),
    ]
    made = [stateless[n % len(stateless)](n) for n in range(70)] + [stateful[n % len(stateful)](n) for n in range(30)]
    return [
        {"name": f"policy {n}", "policy_type": kind, "conditions": conditions, "actions": {"on_violation": "alert"}}
        for n, (kind, conditions) in enumerate(made)
    ]


def events(count: int) -> Iterator[dict[str, Any]]:
    """Calls of 200 agents with every column that a policy looks at; the same ones on every run."""
    for n in range(count):
        yield {
            "event_id": f"e{n}",
            "ts_us": START_US + n * 7_000,
            "actor_id": f"agent-{n * 7919 % 200:03}",
            "action": ("read_file", "write_file", "search", "login", "call_tool")[n % 5],
            "resource": f"{('hr', 'crm', 'db', 'docs')[n % 4]}/payroll/{n * 31 % 97}/row-{n * 17 % 5000}",
            "actor_type": "ai_agent",
            "actor_roles": ["analyst", f"team-{n % 7}"],
            "tenant": f"t{n % 5}",
            "source_ip": f"10.{n % 20}.{n * 13 % 250}.{n * 29 % 250}",
            "country": ("DE", "US", "FR")[n % 3],
            "success": n % 97 != 0,
            "trust_score": 30.0 + n % 70,
            "granted_capabilities": ["*_file", "call_*", "search", "login"],
            "capabilities": ["read_file", "search", *(["admin:users"] if n % 400 == 0 else [])],
            "mcp_server": f"tools-{n % 3}",
            "mcp_domain": f"mcp-{n % 3}.example.com",
            "mcp_trust_score": 60.0 + n % 40,
            "mcp_capabilities": ["search", "fetch", *(["shell:run"] if n % 100 == 0 else [])],
            "mcp_verified": n % 90 != 0,
            "records": n % 100,
            "bytes": n * 997 % 200_000,
            "data_types": ["pii"] if n % 3 == 0 else [],
            "encrypted": n % 60 != 0,
            "session_id": f"s{n % 400}",
        }


def compiled() -> list[Program]:
    programs = []
    for policy in policies():
        program = compile_policy(policy)
        if not isinstance(program, Program):
            raise SystemExit(f"{policy['name']}: {program[0]}")
        programs.append(program)
    return programs


def parsed(count: int) -> list[Event]:
    found = []
    for seq, columns in enumerate(events(count)):
        event = parse_event(columns, seq=seq)
        if not isinstance(event, Event):
            raise SystemExit(f"event {seq}: {event[0]}")
        found.append(event)
    return found


def bare(programs: list[Program]) -> Callable[[Event], int]:
    """The floor: as many comparisons and deques as there are policies, and nothing around them."""
    count = sum(not is_stateful(program) for program in programs)
    limits = [20 + n % 40 for n in range(count)]
    windows: list[tuple[int, dict[str, deque[int]]]] = [(50 + n, {}) for n in range(len(programs) - count)]

    def step(event: Event) -> int:
        violated = 0
        for least in limits:
            if event.trust_score is not None and event.trust_score < least:
                violated += 1
        for most, rows in windows:
            row = rows.setdefault(event.actor_id, deque())
            while row and row[0] <= event.ts_us - 60_000_000:
                row.popleft()
            row.append(event.ts_us)
            if len(row) > most:
                violated += 1
        return violated

    return step


def timed(step: Callable[[Event], object], stream: list[Event], clock: Callable[[], int]) -> list[int]:
    """Nanoseconds of each event but the first tenth, in which caches and windows fill; sorted."""
    taken = []
    for event in stream:
        before = clock()
        step(event)
        taken.append(clock() - before)
    return sorted(taken[len(stream) // 10 :])


def engine_figures(count: int) -> None:
    programs, stream = compiled(), parsed(count)
    kinds = {program.policy_type for program in programs}
    decisions = list(map(Engine(programs, Mode.STRICT).step, stream))
    print(f"{len(programs)} policies of {len(kinds)} types, {sum(map(is_stateful, programs))} stateful")
    print(f"{count} events, {sum(len(each.violated) for each in decisions) / count:.2f} violations each")
    for name, clock in (("wall", time.perf_counter_ns), ("processor", time.thread_time_ns)):
        medians, worst, floors = [], [], []
        for _ in range(ROUNDS):  # in turns, so that both meet the same machine
            taken = timed(Engine(programs, Mode.STRICT).step, stream, clock)
            medians.append(taken[len(taken) // 2] / 1000)
            worst.append(taken[len(taken) * 99 // 100] / 1000)
            floors.append(statistics.median(timed(bare(programs), stream, clock)) / 1000)
        print(f"engine, {name} time: median {shown(medians)}, 99th of 100 {shown(worst)}")
        print(f"bare loop, {name} time: median {shown(floors)}; engine / bare loop {ratio(medians, floors):.1f}")


def shown(values: list[float]) -> str:
    return f"{statistics.median(values):.0f} us ({min(values):.0f} to {max(values):.0f})"


def ratio(values: list[float], others: list[float]) -> float:
    return statistics.median(values) / statistics.median(others)


def request_figures(count: int) -> None:
    """Whole requests, one after another on one connection, then the same events in batches of 500."""
    from reconciler.server.app import create_app
    from reconciler.server.enforcement.records import make_submission
    from reconciler.server.main import running
    from reconciler.server.store import open_store

    with tempfile.TemporaryDirectory() as folder:
        store = open_store(f"{folder}/policies.db")
        token = store.add_token("bench@example.com", "admin")
        headers, app = {"Authorization": f"Bearer {token}"}, create_app(store)
        with running(app) as url:
            http = HTTPConnection(url.removeprefix("http://"))
            for policy in policies():
                post(http, "/v1/admin/security-policies", policy, headers)
            stream = [{key: value for key, value in each.items() if key != "ts_us"} for each in events(2 * count)]
            taken = [post(http, "/v1/evaluate", each, headers) for each in stream[:count]]
            batches = [stream[at : at + 500] for at in range(count, 2 * count, 500)]
            batched = sum(post(http, "/v1/evaluate/batch", {"events": each}, headers) for each in batches)
            http.close()
        caller, busy = store.find_caller(token), []
        if caller is None:
            raise SystemExit("the token is gone")
        for event in parsed(count):
            before = time.thread_time_ns()
            app.state.evaluator.evaluate(caller, [make_submission(replace(event, event_id=f"direct-{event.event_id}"))])
            busy.append(time.thread_time_ns() - before)
        store.close()
        size = sum(os.path.getsize(f"{folder}/{name}") for name in os.listdir(folder)) / (3 * count)
    taken = sorted(taken[count // 10 :])
    median, worst = taken[len(taken) // 2] / 1e6, taken[len(taken) * 99 // 100] / 1e6
    print(f"decided and recorded, processor time: median {statistics.median(busy) / 1e6:.1f} ms")
    print(f"whole request: median {median:.1f} ms, 99th of 100 {worst:.1f} ms")
    print(f"in batches of 500: {batched / count / 1e6:.2f} ms per event; {size / 1000:.1f} kB per event on disk")


def post(http: HTTPConnection, path: str, body: dict[str, Any], headers: dict[str, str]) -> int:
    """Send one request and return its nanoseconds."""
    data = json.dumps(body).encode()
    before = time.perf_counter_ns()
    http.request("POST", path, data, {**headers, "Content-Type": "application/json"})
    reply = http.getresponse()
    content = reply.read()
    taken = time.perf_counter_ns() - before
    if reply.status >= 300:
        raise SystemExit(content.decode())
    return taken


def main(count: int = 5000) -> None:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    print(f"{python}, {platform.machine()}, {os.cpu_count()} processors")
    engine_figures(count)
    request_figures(max(500, count // 5))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
