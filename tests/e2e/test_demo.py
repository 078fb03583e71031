"""The demo from its first line to its last, as `./run demo` plays it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT


@pytest.mark.heavy
def test_the_demo_tells_its_whole_story_and_what_a_change_would_have_done(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "demo", "--once"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    said = " ".join(done.stdout.split())
    assert "65 events of 1 day in ../events, 65 of them new." in said
    assert "newly blocks 20 requests by 2 actors, newly allows 0." in said
    assert "reproduces 100.0 % of 60 decisions on record" in said
    assert (
        said.index("OUTSIDE GIT") < said.index("events pull") < said.index("plan --target opena2a --events ../events")
    )
