"""The different values of each column of a folder of events, kept beside it so that no replay has to look for them.

Only a shortcut: it says of which manifest it was made, and of any other it is not read. Small folders have none, since
they are looked through at once. `values/<column>.parquet`, one text per row (semantics.md D.2).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from reconciler.core.model import Json
from reconciler.impact.kinds import kind_of, stored_name
from reconciler.semantics.columns import COLUMNS

FORMAT: Final = "reconciler.values/1"
FOLDER: Final = "values"
_INDEX: Final = "values.json"
#: So many events make it worth while; columns with more values than this are looked through when they are asked for.
FROM_EVENTS: Final = 100_000
_MOST_VALUES: Final = 1_000_000
#: Texts that no policy asks for, or that differ from event to event.
_NEVER: Final = ("event_id", "extra", "session_id", "policy_revision", "decision", "decision_source", "public_key_fp")
LISTED: Final = tuple(stored_name(name) for name in COLUMNS if kind_of(name) == "string" and name not in _NEVER)


@dataclass(frozen=True, slots=True)
class Known:
    """What a folder says of all its events at once: how many, from when to when, and the files of values by column."""

    events: int
    first_us: int
    last_us: int
    files: Mapping[str, Path]

    def without(self, columns: Iterable[str]) -> Known:
        """Return the same but for some columns, which a replay takes for not recorded."""
        left_out = set(columns)
        return replace(self, files={name: path for name, path in self.files.items() if name not in left_out})

    def values(self, column: str) -> list[str] | None:
        """Return the different values of a stored column; None where nobody wrote them down."""
        if column not in self.files:
            return None
        import pyarrow.parquet as pq

        found: list[str] = pq.read_table(self.files[column]).column(0).to_pylist()
        return found


def write_known(connection: Any, folder: Path) -> None:
    """Write the values of the relation `events` beside the manifest in *folder*, which is written already."""
    made: dict[str, Json] = {}
    (folder / FOLDER).mkdir()
    for column in LISTED:
        (count,) = connection.execute(f'SELECT approx_count_distinct("{column}") FROM events').fetchone()  # noqa: S608 # nosec B608 - names of ours
        path = folder / FOLDER / f"{column}.parquet"
        if 0 < count <= _MOST_VALUES:
            values = f'SELECT DISTINCT "{column}" AS v FROM events WHERE "{column}" IS NOT NULL ORDER BY v'  # noqa: S608 # nosec B608 - names of ours
            quoted = str(path).replace("'", "''")
            connection.execute(f"COPY ({values}) TO '{quoted}' (FORMAT parquet, COMPRESSION zstd)")
            made[column] = sha256_of(path)
    index = {"format": FORMAT, "manifest": sha256_of(folder / "manifest.json"), "columns": made}
    (folder / FOLDER / _INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_known(folder: Path, events: int, first_us: int, last_us: int) -> Known:
    """Return what is known of the columns; nothing of any that was not written, or of another manifest, or changed."""
    return Known(events, first_us, last_us, _files(folder))


def _files(folder: Path) -> dict[str, Path]:
    try:
        index = json.loads((folder / FOLDER / _INDEX).read_text(encoding="utf-8"))
        if index["format"] != FORMAT or index["manifest"] != sha256_of(folder / "manifest.json"):
            return {}
        listed = {name: digest for name, digest in index["columns"].items() if name in LISTED}
        found = {name: folder / FOLDER / f"{name}.parquet" for name in listed}
        return {name: path for name, path in found.items() if sha256_of(path) == listed[name]}
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return {}


def sha256_of(path: Path) -> str:
    """Return the digest of a file as manifests write it: `sha256:` and 64 hex digits."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
