"""The programs that we are measured beside, and how each is asked for the same work."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.corpus import ROOT, make_schema, paths
from benchmarks.measure import Go, process

BIN = Path(sys.executable).parent
NODE = ROOT / ".venv-bench" / "node"
AJV = "ajv-cli@5.0.0"

OCTODNS = """\
providers:
  desired: {class: octodns.provider.yaml.YamlProvider, directory: ./desired, default_ttl: 3600, enforce_order: false}
  live: {class: benchmarks.octodns_live.LiveProvider, directory: ./live, default_ttl: 3600, enforce_order: false}
zones:
  example.com.: {sources: [desired], targets: [live]}
"""


def check_jsonschema(folder: Path) -> Go:
    """Every policy file of *folder* against one schema of both providers."""
    return process(BIN / "check-jsonschema", "--schemafile", make_schema(folder), *paths(folder), folder=folder)


def ajv(folder: Path) -> Go | None:
    """The same with ajv-cli; None where node is not there."""
    program = NODE / "node_modules" / ".bin" / "ajv"
    if not program.exists():
        npm = shutil.which("npm")
        if npm is None:
            return None
        subprocess.run([npm, "install", "--prefix", NODE, "--no-audit", "--no-fund", "--silent", AJV], check=True)
    options = ["--spec=draft2020", "--strict=false", "--validate-formats=false"]
    return process(program, "validate", *options, "-s", make_schema(folder), "-d", "policies/**/*.yaml", folder=folder)


def octodns(folder: Path, records: int) -> Go:
    """A plan of *records* records that finds nothing to do."""
    for name in ("desired", "live"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        lines = [f"host-{number:06}: {{type: A, value: 10.0.0.1}}\n" for number in range(records)]
        (folder / name / "example.com.yaml").write_text("".join(lines))
    (folder / "config.yaml").write_text(OCTODNS)
    return process(
        BIN / "octodns-sync", "--config-file", "config.yaml", folder=folder, environ={"PYTHONPATH": str(ROOT)}
    )
