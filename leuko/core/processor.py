"""Which of a processor's instructions the numerical libraries may use.

This module is imported before any of them, as some choose when they are imported; so it imports none itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

PORTABLE = {
    "ATEN_CPU_CAPABILITY": "avx2",  # PyTorch's own loops
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # its convolutions
    "MKL_CBWR": "AVX2",  # its matrix products
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # NumPy's loops
    "OPENBLAS_CORETYPE": "Haswell",  # NumPy's and SciPy's matrix products
}
"""What keeps each library to AVX2, which x86-64 processors of all makes have had since about 2015."""


def choose_instructions(settings: Path = Path("params.yaml")) -> None:
    """Set this process's environment as `compute.processor` says; what the user has set there stays.

    With other instructions the same sum is added in another order, and its last bit differs. Settings that cannot be
    read are left to be reported where they are checked.

    Args:
        settings: the file of settings.
    """
    try:
        content: Any = yaml.safe_load(settings.read_text(encoding="utf-8"))
        processor = content["compute"]["processor"]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, RecursionError):
        return
    if processor == "portable":
        for name, value in PORTABLE.items():
            os.environ.setdefault(name, value)
