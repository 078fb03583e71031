"""One event against 100 enabled policies: inside the engine, and as a whole request of the reference server.

Every policy is in scope of every event; about one event in three violates one of them. The bare loop does by hand, for
the same events, what as many policies cannot do without: one comparison for each that looks at one event, one deque per
key for each that remembers. It knows no scope, no missing column and no reasons: it is the floor, no alternative.

    ./run bench evaluate                               with the other figures, into RESULTS.md
    .venv/bin/python -m benchmarks.evaluate [EVENTS]   alone, on a screen

The server is in .venv, so that is where it is measured. The engine is timed around `Engine.step`, in wall time and in
processor time of its thread: where others are at work, the first says more about them. A whole request is HTTP over
loopback, the transaction on a SQLite file, the records.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import astuple, replace
from http.client import HTTPConnection
from typing import Any

from benchmarks.corpus import ROOT
from benchmarks.measure import Fact, Section, render
from benchmarks.peers import BIN
from reconciler.semantics.compile import compile_policy
from reconciler.semantics.decide import Engine, Mode
from reconciler.semantics.events import Event, parse_event
from reconciler.semantics.nodes import is_stateful
from reconciler.semantics.program import Program

START_US = 1_772_409_600_000_000
TURNS = 5


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


def engine_figures(count: int) -> list[Fact]:
    programs, stream = compiled(), parsed(count)
    kinds = {program.policy_type for program in programs}
    violated = sum(len(each.violated) for each in map(Engine(programs, Mode.STRICT).step, stream)) / count
    remember = sum(map(is_stateful, programs))
    asked = (
        f"{len(programs)} policies of {len(kinds)} types, {remember} with a memory; {violated:.2f} violations an event"
    )
    found = [Fact("policies in scope of every event", asked, "", None)]
    for name, clock in (("processor time", time.thread_time_ns), ("by the wall", time.perf_counter_ns)):
        medians, worst, floors = [], [], []
        for _ in range(TURNS):  # in turns, so that both meet the same machine
            taken = timed(Engine(programs, Mode.STRICT).step, stream, clock)
            medians.append(taken[len(taken) // 2] / 1e6)
            worst.append(taken[len(taken) * 99 // 100] / 1e6)
            floors.append(statistics.median(timed(bare(programs), stream, clock)) / 1e6)
        ratios = [ours / floor for ours, floor in zip(medians, floors, strict=True)]
        met = statistics.median(medians) < 1
        found += [
            Fact(f"inside the engine, {name}, median", f"{shown(medians)} ms", "< 1 ms", met),
            Fact(f"inside the engine, {name}, 99th of 100", f"{shown(worst)} ms", "", None),
            Fact(f"a bare loop of comparisons and deques, {name}", f"{shown(floors)} ms", "", None),
            Fact(f"engine / bare loop, {name}", shown(ratios), "", None),
        ]
    return found


def shown(values: list[float]) -> str:
    return f"{statistics.median(values):.3g} ({min(values):.3g}–{max(values):.3g})"


def request_figures(count: int) -> list[Fact]:
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
    return [
        Fact("decided and recorded, processor time, median", f"{statistics.median(busy) / 1e6:.1f} ms", "", None),
        Fact("a whole request, by the wall", f"median {median:.1f} ms, 99th of 100 {worst:.1f} ms", "", None),
        Fact("one event in a batch of 500, by the wall", f"{batched / count / 1e6:.2f} ms", "", None),
        Fact("one event in the database", f"{size / 1000:.1f} kB", "", None),
    ]


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


def figures(count: int = 5000) -> Section:
    title = f"evaluate: one event against 100 enabled policies, {count:,} events"
    return Section(title, facts=[*engine_figures(count), *request_figures(max(500, count // 5))])


def section() -> Section:
    """The figures, measured by the Python that has the server."""
    python = ROOT / ".venv" / BIN.relative_to(BIN.parent) / "python"
    if not python.exists():
        note = "the server is not in this environment; `./run demo` or `./run test` makes one that has it"
        return Section(
            "evaluate: one event against 100 enabled policies", facts=[Fact("all", "not measured", "", None, note)]
        )
    command = [python, "-m", "benchmarks.evaluate", "--json"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout)
    return Section(found["title"], facts=[Fact(*each) for each in found["facts"]])


def main(*words: str) -> None:
    counts = [int(word) for word in words if word.isdecimal()]
    found = figures(*counts[:1])
    if "--json" in words:
        print(json.dumps({"title": found.title, "facts": [astuple(fact) for fact in found.facts]}))
    else:
        print(render(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
