"""`./run bench [NAME …]`: measure, print, and write what was measured into RESULTS.md.

A section that is not measured keeps what it said. `RECONCILER_BENCH_ROUNDS` sets the number of rounds (5), and
`RECONCILER_BENCH_POLICIES` how many policies are many (10,000).
"""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import measure
from benchmarks.cases import SECTIONS

RESULTS = Path(__file__).with_name("RESULTS.md")
HEAD = """\
# Results

Written by `./run bench`. Every ratio is ours over the anchor's, taken round by round with both measured in turn
(the other way round where the goal is to be so many times faster); cells are median (min–max). A goal that is missed
is shown as missed.
"""


def main(names: list[str]) -> int:
    if unknown := [name for name in names if name not in SECTIONS]:
        print(f"no benchmark is called {unknown[0]}; there are {', '.join(SECTIONS)}", file=sys.stderr)
        return 64
    if len(names) != 1:  # each in a process of its own: what one keeps in memory would be counted as its children's
        codes = [subprocess.run([sys.executable, "-m", "benchmarks", name]).returncode for name in names or SECTIONS]
        return max(codes)
    (name,) = names
    print(f"measuring {name}", file=sys.stderr, flush=True)
    text = measure.render(SECTIONS[name]())
    kept = read_sections(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    kept[name] = f"{text}\n{datetime.now(UTC):%Y-%m-%d}, {measure.ROUNDS} rounds or more. {measure.machine()}\n"
    print(kept[name], flush=True)
    RESULTS.write_text(write_sections(kept), encoding="utf-8")
    return 0


def read_sections(text: str) -> dict[str, str]:
    """Return the sections of RESULTS.md by the word their title begins with."""
    parts = re.split(r"(?m)^(?=## )", text)[1:]
    return {part[3:].partition(":")[0]: part.strip() + "\n" for part in parts}


def write_sections(sections: dict[str, str]) -> str:
    return "\n".join([HEAD, *(sections[name] for name in SECTIONS if name in sections)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
