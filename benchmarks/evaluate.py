"""One event against 100 enabled policies: what the engine takes, and what a bare Python loop would.

Every policy is in scope of every event, and nearly every event violates something. The bare loop does by hand, for the
same events, what the same number of policies cannot do without: one comparison per stateless policy, and one deque per
key for each that counts. It knows no scope, no missing column, no reasons: it is the floor, not an alternative.

    python -m benchmarks.evaluate [EVENTS]
"""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
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
        lambda n: ("trust_score", {"min_trust_score": 20 + n % 40}),
        lambda n: ("ip_allowlist", {"allowed_ips": ["10.0.0.0/8", f"192.168.{n}.0/24"], "denied_ips": [f"10.{n}.0.1"]}),
        lambda n: ("unauthorized_access", {"restricted_resources": [f"hr/*/{n}/**", f"secret-{n}/**"]}),
        lambda n: ("unauthorized_access", {"allowed_hours_start": 0, "allowed_hours_end": 1 + n % 23}),
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
            "country": ("DE", "US", "FR", "CN")[n % 4],
            "success": n % 11 != 0,
            "trust_score": 30.0 + n % 70,
            "granted_capabilities": ["read_*", "search", "login"],
            "capabilities": ["read_file", "search", *(["admin:users"] if n % 50 == 0 else [])],
            "mcp_server": f"tools-{n % 3}",
            "mcp_domain": f"mcp.example{n % 3}.com",
            "mcp_trust_score": 40.0 + n % 60,
            "mcp_capabilities": ["search", "fetch", "shell:run"][: 2 + n % 2],
            "mcp_verified": n % 9 != 0,
            "records": n % 150,
            "bytes": n * 997 % 200_000,
            "data_types": ["pii"] if n % 3 == 0 else [],
            "encrypted": n % 6 != 0,
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


def timed(step: Callable[[Event], object], stream: list[Event]) -> list[int]:
    """Nanoseconds of each event but the first tenth, in which caches and windows fill."""
    clock = time.perf_counter_ns
    taken = []
    for event in stream:
        before = clock()
        step(event)
        taken.append(clock() - before)
    return taken[len(stream) // 10 :]


def main(count: int = 5000) -> None:
    programs, stream = compiled(), parsed(count)
    kinds = {program.policy_type for program in programs}
    remembering = sum(map(is_stateful, programs))
    medians, worst, floors, violated = [], [], [], 0
    for _ in range(ROUNDS):  # in turns, so that both meet the same machine
        engine = Engine(programs, Mode.STRICT)
        taken = sorted(timed(engine.step, stream))
        medians.append(statistics.median(taken) / 1000)
        worst.append(taken[len(taken) * 99 // 100] / 1000)
        floors.append(statistics.median(timed(bare(programs), stream)) / 1000)
    last = Engine(programs, Mode.STRICT)
    violated = sum(len(last.step(event).violated) for event in stream)
    print(f"{len(programs)} policies of {len(kinds)} types, {remembering} stateful; {count} events, {ROUNDS} rounds")
    print(f"violations per event  {violated / count:.1f}")
    print(f"engine, median        {statistics.median(medians):7.1f} µs  ({min(medians):.1f} to {max(medians):.1f})")
    print(f"engine, 99th of 100   {statistics.median(worst):7.1f} µs  ({min(worst):.1f} to {max(worst):.1f})")
    print(f"bare loop, median     {statistics.median(floors):7.1f} µs  ({min(floors):.1f} to {max(floors):.1f})")
    print(f"engine / bare loop    {statistics.median(medians) / statistics.median(floors):7.1f}")
    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
