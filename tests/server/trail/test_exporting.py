"""The trail as a file: everything once, in order, in the event schema or as it was hashed."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.semantics.columns import COLUMNS
from reconciler.semantics.events import Event, event_to_json, parse_event
from reconciler.server.store import Store
from reconciler.server.trail import exporting, formats
from reconciler.server.trail.entries import add_own
from reconciler.server.trail.exporting import export_audit, export_events, read_pages
from reconciler.server.trail.formats import defuse, to_csv
from reconciler.server.trail.query import Wanted, instant_of
from reconciler.server.trail.shapes import EVENT_KINDS
from tests.server.trail.rows import ORGANIZATION, add_entries, add_events
from tests.support.clocks import FakeClock
from tests.support.servers import RunningServer

EVERY_COLUMN: dict[str, Any] = {
    "actor_type": "ai_agent",
    "actor_roles": ["b", "a"],
    "tenant": "acme",
    "resource_type": "database",
    "source_ip": "203.0.113.7",
    "country": "DE",
    "is_vpn": False,
    "success": True,
    "decision": "block",
    "decision_source": "service",
    "policy_revision": "c0ffee0123456789c0ffee0123456789c0ffee01",
    "trust_score": 0.1 + 0.2,
    "requested_capability": "read",
    "granted_capabilities": [],
    "capabilities": ["read"],
    "mcp_server": "files",
    "mcp_domain": "mcp.example.com",
    "mcp_url": "https://mcp.example.com/",
    "mcp_trust_score": 70,
    "mcp_attestations": 3,
    "mcp_confidence_score": 1e-7,
    "mcp_capabilities": ["list"],
    "mcp_verified": True,
    "mcp_registered_at": 1,
    "records": 0,
    "bytes": 2**63 - 1,
    "data_types": ["pii"],
    "purpose": "support",
    "approved": False,
    "encrypted": True,
    "secure_delete": False,
    "public_key_changed": False,
    "key_rotation_approved": False,
    "public_key_fp": "ab:cd",
    "mfa_verified": True,
    "mfa_method": "totp",
    "identity_verified": True,
    "tunnel_status": "up",
    "tunnel_protocol": "wireguard",
    "session_id": "s-1",
    "session_recorded": True,
    "client_ts": 2,
    "extra": '{"a": 1}',
}


@pytest.fixture
def client(server: RunningServer) -> Iterator[httpx.Client]:
    """A client of a server with four entries and an evaluation."""
    add_entries(server.store, 4)
    add_events(server.store, FakeClock(), EVERY_COLUMN, {"resource": "session:s-1"})
    headers = {"Authorization": f"Bearer {server.token}"}
    url = f"{server.opena2a_url}/admin/"
    with httpx.Client(base_url=url, headers=headers, trust_env=False, verify=False, timeout=60) as asking:
        yield asking


def lines(reply: httpx.Response) -> list[Any]:
    assert reply.status_code == 200, reply.text
    return [json.loads(line) for line in reply.text.splitlines()]


def read_csv(data: bytes) -> list[dict[str, str | None]]:
    """As the docstring of `formats` tells a reader to."""
    rows = csv.DictReader(io.StringIO(data.decode(), newline=""))
    return [{name: cell.removeprefix("'") if cell else None for name, cell in row.items()} for row in rows]


def test_the_files_have_every_column_of_an_event() -> None:
    assert list(EVENT_KINDS) == list(COLUMNS)
    assert set(EVERY_COLUMN) | {"event_id", "ts_us", "actor_id", "action", "resource", "seq"} == set(COLUMNS)


def test_an_evaluation_is_exported_as_the_event_it_was(client: httpx.Client) -> None:
    first, second = lines(client.get("events/export"))

    event = parse_event(first)
    assert isinstance(event, Event)
    assert event_to_json(event) == {**first, "actor_roles": ["a", "b"]}
    assert {name: first[name] for name in EVERY_COLUMN} == EVERY_COLUMN
    assert (first["event_id"], first["seq"], second["resource"]) == ("ev-1", 1, "session:s-1")


def test_an_audit_entry_is_exported_as_an_event(client: httpx.Client) -> None:
    rows = lines(client.get("audit-logs/export"))

    listed = client.get("audit-logs?system=all").json()["logs"][::-1]
    assert all(isinstance(parse_event(row), Event) for row in rows)
    assert [row["event_id"] for row in rows] == [entry["id"] for entry in listed]
    assert [row["ts_us"] for row in rows] == [instant_of(entry["timestamp"]) for entry in listed]
    extra = json.loads(rows[0].pop("extra"))
    assert {"actor_id", "action", "resource", "success"} <= set(rows[0])
    assert rows[0]["resource_type"] == "policy"
    assert rows[0]["actor_type"] == "service"
    assert rows[0]["tenant"] == ORGANIZATION
    assert extra["details"] == listed[0]["details"]
    assert len(extra["hash"]) == 64


def test_a_line_of_a_chained_export_makes_its_hash(client: httpx.Client) -> None:
    for path in ("audit-logs/export", "events/export?kind=events"):
        prev = "0" * 64
        for row in lines(client.get(path, params={**dict(httpx.URL(path).params), "schema": "entry"})):
            said = row.pop("hash")
            content = json.dumps(row, sort_keys=True, separators=(",", ":"))
            assert row["prev"] == prev
            assert said == hashlib.sha256(content.encode()).hexdigest()
            prev = said
        assert prev != "0" * 64


@pytest.mark.parametrize("path", ["audit-logs/export", "events/export"])
@pytest.mark.parametrize("schema", ["event", "entry"])
def test_the_three_formats_say_the_same(client: httpx.Client, path: str, schema: str) -> None:
    replies = {name: client.get(path, params={"format": name, "schema": schema}) for name in formats.FORMATS}

    plain = lines(replies["jsonl"])
    table = pq.read_table(io.BytesIO(replies["parquet"].content))
    cells = read_csv(replies["csv"].content)
    assert len(plain) == table.num_rows == len(cells) > 0
    for row, typed, cell in zip(plain, table.to_pylist(), cells, strict=True):
        for name in table.column_names:
            value = row.get(name)
            spelled = value if isinstance(value, str) or value is None else json.dumps(value, separators=(",", ":"))
            assert cell[name] == spelled
            assert typed[name] in (value, spelled)
            assert (typed[name] is None) is (value is None)


def test_parquet_has_the_types_of_the_schema_and_zstd(client: httpx.Client) -> None:
    file = pq.ParquetFile(io.BytesIO(client.get("events/export?format=parquet").content))

    types = {field.name: field.type for field in file.schema_arrow}
    wanted = {"ts_us": pa.int64(), "trust_score": pa.float64(), "is_vpn": pa.bool_(), "extra": pa.string()}
    assert {name: types[name] for name in wanted} == wanted
    assert pa.types.is_list(types["actor_roles"])
    assert list(types) == list(COLUMNS)
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_events_are_in_the_order_they_happened(store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "PAGE", 2)
    add_entries(store, 3)
    clock.skew = -60
    add_entries(store, 2)
    clock.skew = 60
    add_entries(store, 2)

    pages = list(read_pages(store, export_audit(ORGANIZATION, Wanted(), as_entries=False)))

    rows = [(row["ts_us"], row["seq"]) for page in pages for row in page]
    assert rows == sorted(rows)
    assert [seq for _, seq in rows] == [4, 5, 1, 2, 3, 6, 7]
    assert max(map(len, pages)) == 2


def test_rows_that_come_while_the_file_is_made_are_not_in_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "PAGE", 2)
    add_entries(store, 5)

    seqs = []
    for page in read_pages(store, export_audit(ORGANIZATION, Wanted(), as_entries=True)):
        seqs += [row["seq"] for row in page]
        add_entries(store, 1)

    assert seqs == [1, 2, 3, 4, 5]


def test_many_rows_make_many_row_groups(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "PAGE", 1)
    monkeypatch.setattr(formats, "GROUP", 2)

    file = pq.ParquetFile(io.BytesIO(client.get("audit-logs/export?format=parquet").content))

    assert [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)] == [2, 2]
    assert file.read().column("seq").to_pylist() == [1, 2, 3, 4]


def test_a_file_holds_the_time_that_was_asked_for(store: Store, clock: FakeClock) -> None:
    starts = []
    for _ in range(3):
        starts.append(int(clock.now().timestamp() * 1_000_000))
        add_entries(store, 1)
        add_events(store, clock, {}, {"resource": "session:s"})
        clock.passed += 3600

    def count(export: exporting.Export) -> int:
        return sum(map(len, read_pages(store, export)))

    wanted = Wanted(since=starts[1], until=starts[2])
    assert count(export_audit(ORGANIZATION, wanted, as_entries=False)) == 1
    assert count(export_events(ORGANIZATION, None, starts[1], starts[2], as_entries=False)) == 2
    assert count(export_events(ORGANIZATION, "sessions", starts[1], None, as_entries=True)) == 2
    assert count(export_events(ORGANIZATION, None, None, None, as_entries=True)) == 6
    assert count(export_events("other", None, None, None, as_entries=False)) == 0


def test_a_file_is_offered_under_a_name_that_is_safe(client: httpx.Client) -> None:
    for path in ("audit-logs", "events"):
        for name in formats.FORMATS:
            reply = client.get(f"{path}/export?format={name}")

            offered = reply.headers["content-disposition"]
            assert re.fullmatch(rf'attachment; filename="{path}-[0-9]{{8}}T[0-9]{{6}}Z\.{name}"', offered)
            assert reply.headers["x-content-type-options"] == "nosniff"
            assert reply.headers["cache-control"] == "no-store"


def test_a_file_that_does_not_exist_is_refused(client: httpx.Client) -> None:
    queries = (
        "format=xlsx",
        "format=",
        "schema=ocsf",
        "kind=audit",
        "limit=1",
        "from=x",
        "cursor=x",
        "kind=events&kind=x",
    )

    replies = [client.get(f"events/export?{query}") for query in queries]

    assert [(reply.status_code, *reply.json()) for reply in replies] == [(400, "error")] * len(queries)


@pytest.mark.parametrize("details", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "＝1", "'=1", "''", "'", ""])
def test_no_cell_is_taken_for_a_formula_and_every_cell_reads_back(store: Store, details: str) -> None:
    with store.write() as connection:
        add_own(connection, store, ORGANIZATION, action="try", resource="r", details=details)
    export = export_audit(ORGANIZATION, Wanted(), as_entries=True)

    data = b"".join(to_csv(read_pages(store, export), export.shape.kinds))

    (row,) = csv.DictReader(io.StringIO(data.decode(), newline=""))
    assert row["details"] == f"'{details}"
    assert read_csv(data)[0]["details"] == details


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_a_defused_text_is_never_a_formula_and_reads_back(text: str) -> None:
    cell = defuse(text)

    assert cell
    assert not cell.startswith(tuple("=+-@\t\r\n＝＋－＠"))
    assert cell.removeprefix("'") == text


@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)))
def test_a_csv_file_reads_back(cells: list[str | None]) -> None:
    rows = [{"a": cell, "b": "x"} for cell in cells]

    data = b"".join(to_csv([rows], {"a": "text", "b": "text"}))

    assert read_csv(data) == rows


def test_an_empty_trail_is_an_empty_file(store: Store) -> None:
    export = export_audit(ORGANIZATION, Wanted(), as_entries=False)

    made = {name: b"".join(make(read_pages(store, export), EVENT_KINDS)) for name, (make, _) in formats.FORMATS.items()}

    assert made["jsonl"] == b""
    assert made["csv"].decode() == ",".join(COLUMNS) + "\r\n"
    assert pq.read_table(io.BytesIO(made["parquet"])).num_rows == 0
