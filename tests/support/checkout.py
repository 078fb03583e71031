"""The checkout as a thing under test: where it is, and its script `run` as a module."""

from __future__ import annotations

import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]


def load_run(path: Path = ROOT / "run") -> ModuleType:
    """Return the script `run` (it has no suffix) as a module; nothing of it is executed but its definitions."""
    spec = spec_from_loader("checkout_run", SourceFileLoader("checkout_run", str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module
