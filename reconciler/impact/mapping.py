"""A mapping: where each column of an event stands in the records of some source (semantics.md C).

Pure: a YAML document in, a function from one decoded record to one event out. A path is dotted (`actor.user.uid`); a
number picks from a list, `*` takes every entry. The first of several paths that leads somewhere wins.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from reconciler.core.documents import Document
from reconciler.core.model import Json
from reconciler.core.near import nearest
from reconciler.errors import Place, ReconcilerError
from reconciler.impact.kinds import SETS, kind_of
from reconciler.semantics.columns import COLUMNS
from reconciler.semantics.events import REQUIRED, Event, parse_event
from reconciler.semantics.faults import Fault
from reconciler.semantics.normal import END_OF_TIME, host_of_url, parse_address, parse_host, parse_instant

FORMATS: Final = ("jsonl", "csv", "parquet")
SCALES: Final = ("percent", "unit")
#: What sources write where they know nothing (semantics.md C).
NULLS: Final = ("", "-", "0.0.0.0", "XX")  # noqa: S104 # nosec B104 - no address to listen on
_KEYS: Final = (
    *("version", "format", "columns", "constants", "assume_timezone", "trust_scale", "mcp_trust_scale"),
    *("null_values", "trust_constant", "extra"),
)

#: Takes a value that is not null; None is "not recorded".
_Step: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Column:
    """Where one column comes from: paths in order of preference, and what is done with what stands there.

    `is_absent`: the column is whether nothing stands there.
    """

    paths: tuple[tuple[str, ...], ...]
    step: _Step | None = None
    is_absent: bool = False


@dataclass(frozen=True, slots=True)
class EventMapping:
    """One source's records as events; see `load_mapping`."""

    name: str
    columns: Mapping[str, Column]
    constants: Mapping[str, Json] = field(default_factory=dict)
    format: str | None = None
    zone: ZoneInfo | None = None
    trust_scale: str = "percent"
    mcp_trust_scale: str = "percent"
    null_values: frozenset[str] = frozenset(NULLS)
    trust_constant: frozenset[str] = frozenset()
    keeps_extra: bool = True

    def event(self, record: Mapping[str, Any]) -> Event | tuple[Fault, ...]:
        """Return the event that a record says, or what is wrong with it."""
        found: dict[str, Any] = dict(self.constants)
        for name, column in self.columns.items():
            value = self._value(record, column)
            if value is not None:
                found[name] = _typed(name, value)
        if self.keeps_extra and "extra" not in found:
            extra = self._extra(record)
            if extra is not None:
                found["extra"] = extra
        return parse_event(found)

    def _value(self, record: Mapping[str, Any], column: Column) -> Any:
        if column.is_absent:
            return all(reach(record, path) is None for path in column.paths)
        for path in column.paths:
            value = reach(record, path)
            if value is None or (isinstance(value, str) and value in self.null_values):
                continue
            if column.step is not None:
                value = column.step(value)
                if value is None:
                    continue
            return value
        return None

    def _extra(self, record: Mapping[str, Any]) -> str | None:
        """The fields of a record that no column comes from, as JSON; those that are too long are left out whole."""
        used = {path[0] for column in self.columns.values() for path in column.paths}
        rest = {key: value for key, value in record.items() if key not in used and value is not None}
        if not rest:
            return None
        text = json.dumps(rest, ensure_ascii=False, sort_keys=True, default=str)
        return text if len(text) <= 65_536 and "\0" not in text else None


def reach(record: Any, path: tuple[str, ...]) -> Any:
    """Return what stands at a path; None where it leads nowhere.

    A key may hold dots itself, as attributes of OpenTelemetry do.

    >>> reach({"a": [{"b": 1}, {"b": 2}]}, ("a", "*", "b")), reach({"a": {"b.c": 1}}, ("a", "b", "c"))
    ([1, 2], 1)
    """
    for position, part in enumerate(path):
        if isinstance(record, dict):
            whole = ".".join(path[position:])
            if whole in record:
                return record[whole]
            record = record.get(part)
        elif isinstance(record, list) and part == "*":
            several = [reach(entry, path[position + 1 :]) for entry in record]
            return [each for each in several if each is not None]
        elif isinstance(record, list) and part.isascii() and part.isdigit():
            record = record[int(part)] if int(part) < len(record) else None
        else:
            return None
        if record is None:
            return None
    return record


def _typed(name: str, value: Any) -> Any:
    """In CSV everything is text: lists stand as JSON there, and a lone text is a list of one."""
    if not isinstance(value, str):
        return value
    if name in SETS:
        try:
            return json.loads(value) if value.startswith("[") else [value]
        except ValueError:
            return value
    read = _PLAIN.get({"int64": "integer", "float64": "number", "boolean": "boolean"}.get(kind_of(name), ""))
    typed = None if read is None else read(value)
    return value if typed is None else typed


# --------------------------------------------------------------------------------------------- steps


def _instant(unit: int, zone: ZoneInfo | None) -> _Step:
    def read(value: Any) -> Any:
        if isinstance(value, datetime):  # a column of times in Parquet
            aware = value if value.tzinfo is not None else None if zone is None else value.replace(tzinfo=zone)
            return value if aware is None else (aware - _EPOCH) // timedelta(microseconds=1)
        if isinstance(value, str):
            found = parse_instant(value, assume=zone)
            if found is not None:
                return found
            try:
                value = int(value)
            except ValueError:
                return value  # refused by the column, with its place
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return value
        micros = value * 1_000_000 // unit
        return int(micros) if 0 <= micros < END_OF_TIME else value

    return read


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000, "rfc3339": 1}
_PLAIN: Final[Mapping[str, _Step]] = {
    "host": lambda value: parse_host(value) if isinstance(value, str) else None,
    "host_of_url": lambda value: host_of_url(value) if isinstance(value, str) else None,
    "address": lambda value: value if isinstance(value, str) and parse_address(value) is not None else None,
    "sha256": lambda value: hashlib.sha256(str(value).encode("utf-8", "replace")).hexdigest(),
    "text": lambda value: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True),
    "integer": lambda value: _number(value, int),
    "number": lambda value: _number(value, float),
    "boolean": lambda value: {"true": True, "false": False, "1": True, "0": False}.get(str(value).lower()),
    "upper": lambda value: value.upper() if isinstance(value, str) else value,
}


def _number(value: Any, kind: type[int] | type[float]) -> Any:
    if isinstance(value, str):
        try:
            return kind(value)
        except ValueError:
            return None
    return value


def _before(mark: str) -> _Step:
    return lambda value: (str(value).partition(mark)[0] or None) if mark in str(value) else None


def _from_table(table: Mapping[str, Json]) -> _Step:
    return lambda value: table.get(str(value).lower() if isinstance(value, bool) else str(value))


def _equals(wanted: Json) -> _Step:
    return lambda value: type(value) is type(wanted) and value == wanted


# --------------------------------------------------------------------------------------------- reading


def load_mapping(document: Document, name: str) -> EventMapping:
    """Return the mapping that a YAML document says; raises ReconcilerError at the first thing that is wrong with it."""
    value = document.value
    for key in value:
        if key not in _KEYS:
            raise _wrong(document, f"/{key}", f"a mapping has no key {key!r}", _nearest(key, _KEYS), key=True)
    if value.get("version") != 1 or isinstance(value.get("version"), bool):
        raise _wrong(document, "/version", "the version of a mapping is 1", "write version: 1")
    chosen = value.get("format")
    if chosen is not None and chosen not in FORMATS:
        raise _wrong(document, "/format", "is no format of events", "write " + ", ".join(FORMATS))
    scales = {key: value.get(key, "percent") for key in ("trust_scale", "mcp_trust_scale")}
    for key, scale in scales.items():
        if scale not in SCALES:
            raise _wrong(document, f"/{key}", "is no scale of trust", "write percent (0 to 100) or unit (0 to 1)")
    zone = _zone(document, value.get("assume_timezone"))
    columns = _columns(document, value.get("columns"), zone)
    constants = _constants(document, value.get("constants", {}))
    missing = [column for column in REQUIRED if column not in columns and column not in constants]
    if missing:
        raise _wrong(document, "/columns", f"does not say where {missing[0]} stands", f"add {missing[0]}: PATH")
    nulls = _texts(document, "null_values", value.get("null_values", list(NULLS)))
    trusted = _texts(document, "trust_constant", value.get("trust_constant", []))
    return EventMapping(
        name,
        columns,
        constants,
        None if chosen is None else str(chosen),
        zone,
        str(scales["trust_scale"]),
        str(scales["mcp_trust_scale"]),
        frozenset(nulls),
        frozenset(trusted),
        value.get("extra", True) is True,
    )


def _columns(document: Document, value: Json, zone: ZoneInfo | None) -> dict[str, Column]:
    if not isinstance(value, dict):
        raise _wrong(document, "/columns", "is not a list of columns", "write column: PATH, one per line")
    found = {}
    for name, entry in value.items():
        if name not in COLUMNS:
            raise _wrong(
                document, f"/columns/{name}", f"an event has no column {name!r}", _nearest(name, COLUMNS), key=True
            )
        found[name] = _column(document, name, entry, zone)
    return found


def _column(document: Document, name: str, entry: Json, zone: ZoneInfo | None) -> Column:
    place = f"/columns/{name}"
    options: Mapping[str, Json] = entry if isinstance(entry, dict) else {"path": entry}
    paths = options.get("path")
    several = paths if isinstance(paths, list) else [paths]
    if not several or not all(isinstance(path, str) and path and all(path.split(".")) for path in several):
        raise _wrong(document, place, "is no path", "write a dotted path such as actor.user.uid, or a list of them")
    unknown = next((key for key in options if key not in ("path", "as", "before", "map", "equals", "is_null")), None)
    if unknown is not None:
        raise _wrong(
            document, f"{place}/{unknown}", f"a column has no key {unknown!r}", "write path, as, before, map or equals"
        )
    step = _step(document, place, name, options, zone)
    return Column(tuple(tuple(str(path).split(".")) for path in several), step, options.get("is_null") is True)


def _step(
    document: Document, place: str, name: str, options: Mapping[str, Json], zone: ZoneInfo | None
) -> _Step | None:
    if "before" in options:
        return _before(str(options["before"]))
    if isinstance(options.get("map"), dict):
        return _from_table(options["map"])  # type: ignore[arg-type]
    if "equals" in options:
        return _equals(options["equals"])
    kind = options.get("as")
    if name in ("ts_us", "mcp_registered_at", "client_ts"):
        if kind is not None and kind not in _UNITS:
            raise _wrong(document, f"{place}/as", "is no form of an instant", "write " + ", ".join(_UNITS))
        return _instant(_UNITS[str(kind or "us")], zone)
    if kind is None:
        return None
    if kind not in _PLAIN:
        raise _wrong(document, f"{place}/as", f"nothing is read as {kind!r}", "write " + ", ".join(_PLAIN))
    return _PLAIN[str(kind)]


def _constants(document: Document, value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise _wrong(document, "/constants", "is not a list of columns", "write column: VALUE, one per line")
    for name, constant in value.items():
        read = COLUMNS.get(name)
        if read is None:
            raise _wrong(
                document, f"/constants/{name}", f"an event has no column {name!r}", _nearest(name, COLUMNS), key=True
            )
        verdict = read(constant)
        if isinstance(verdict, Fault):
            raise _wrong(document, f"/constants/{name}", verdict.what, verdict.fix)
    return dict(value)


def _texts(document: Document, key: str, value: Json) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise _wrong(document, f"/{key}", "is not a list of texts", "write [a, b]")
    return [str(entry) for entry in value]


def _zone(document: Document, name: Json) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(str(name))
    except (ValueError, OSError, KeyError):
        raise _wrong(document, "/assume_timezone", "is no time zone", "write a name such as Europe/Berlin") from None


def _nearest(word: str, words: Any) -> str:
    found = nearest(word, list(words))
    return f"did you mean {found}?" if found else "write one of " + ", ".join(list(words)[:12]) + ", …"


def _wrong(document: Document, pointer: str, what: str, fix: str, *, key: bool = False) -> ReconcilerError:
    place = document.place(pointer, key=key) or Place(document.path, document.line)
    return ReconcilerError(
        f"{pointer.rpartition('/')[2] or 'mapping'}: {what}", where=place, fix=fix, code="events-mapping"
    )
