"""The launcher's laboratory of ``tests/contract``, for faults of single attempts."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_spec = importlib.util.spec_from_file_location(
    "conftest_of_contract", Path(__file__).parents[1] / "contract/conftest.py"
)
_contract = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_contract)

fence, fence_of = _contract.fence, _contract.fence_of
alive, make_lab, lab, patched_lab = _contract.alive, _contract.make_lab, _contract.lab, _contract.patched_lab
