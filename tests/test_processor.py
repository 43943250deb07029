"""Which instructions the numerical libraries use, and how their threads wait."""

import json
import os
import subprocess
import sys

import pytest
import torch

from leuko.core.processor import PORTABLE, configure_libraries
from tests.conftest import REPOSITORY, write_settings

HAS_AVX2 = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
LOOK = """
import json, stages, torch
from numpy._core._multiarray_umath import __cpu_features__ as features
print(json.dumps([torch.backends.cpu.get_cpu_capability(), features.get("X86_V4", False)]))
"""


def look(folder, **environment) -> list:
    """What PyTorch and NumPy use in a process that imports the stages first."""
    clean = {name: value for name, value in os.environ.items() if name not in PORTABLE}
    command = [sys.executable, "-c", LOOK]
    paths = {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=folder, env=clean | paths | environment, capture_output=True, check=True)
    assert done.stderr == b""
    return json.loads(done.stdout)


# PyTorch answers otherwise on processors without AVX2, where there is nothing to keep to.
@pytest.mark.slow
@pytest.mark.skipif(not HAS_AVX2, reason="portable means AVX2, which only x86-64 processors have, and not all of them")
def test_portable_keeps_to_avx2_and_native_does_not(tmp_path):
    write_settings(tmp_path, **{"compute.processor": "native"})
    assert look(tmp_path)[0] in ("AVX2", "AVX512")
    write_settings(tmp_path, **{"compute.processor": "portable"})
    assert look(tmp_path) == ["AVX2", False]
    assert look(tmp_path, ATEN_CPU_CAPABILITY="default")[0] == "DEFAULT"  # what the user has set stays


@pytest.mark.parametrize("content", [None, "", "[1", "compute: 3", "compute: {processor: portably}", "[" * 5000])
def test_settings_that_cannot_be_read_are_left_to_those_who_check_them(tmp_path, monkeypatch, content):
    for name in PORTABLE:
        monkeypatch.delenv(name, raising=False)
    if content is not None:
        (tmp_path / "params.yaml").write_text(content)
    configure_libraries(tmp_path / "params.yaml")
    assert not PORTABLE.keys() & os.environ.keys()


@pytest.mark.parametrize(
    ("set_by_user", "expected"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "5"}, "5"), ({"OMP_WAIT_POLICY": "active"}, None)],
)
def test_threads_wait_briefly_unless_the_user_wants_it_otherwise(tmp_path, monkeypatch, set_by_user, expected):
    monkeypatch.setattr(os, "environ", dict(set_by_user))
    configure_libraries(tmp_path / "missing.yaml")
    assert os.environ.get("GOMP_SPINCOUNT") == expected
