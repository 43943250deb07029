"""Which of a processor's instructions the numerical libraries may use, and how their threads wait for each other.

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
    "MKL_CBWR": "AVX2,STRICT",  # its matrix products; without STRICT, Intel's add otherwise than AMD's
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",  # NumPy's loops
    "OPENBLAS_CORETYPE": "Haswell",  # NumPy's and SciPy's matrix products
}
"""What keeps each library to AVX2, which x86-64 processors of all makes have had since about 2015."""

SPIN_COUNT = "1000"
"""How often a thread of GNU OpenMP, which PyTorch computes with, looks whether the others are done before it sleeps.

By default it looks 300,000 times, to start again without delay. Beside another busy process that keeps a core from the
very thread that is waited for; what is computed does not depend on it."""


def configure_libraries(settings: Path = Path("params.yaml")) -> None:
    """Set this process's environment for the numerical libraries; what the user has set there stays.

    Their instructions are those that `compute.processor` asks for: with others the same sum is added in another order,
    and its last bit differs. Settings that cannot be read are left to be reported where they are checked.

    Args:
        settings: the file of settings.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)
    try:
        content: Any = yaml.safe_load(settings.read_text(encoding="utf-8"))
        processor = content["compute"]["processor"]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, RecursionError):
        return
    if processor == "portable":
        for name, value in PORTABLE.items():
            os.environ.setdefault(name, value)
