"""The width of vectors and the names of kernels follow the processor that Numba is told."""

import os
import subprocess
import sys
from functools import cache

import pytest

ASK = """
import llvmlite.binding as llvm
from unfold.backends.numba import target
from unfold.backends.numba.compiler import STORE as store

llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()
print(target.vector_bytes(), store.compiler.fingerprint().hex())
for question in {questions!r}:
    print(target.register_bytes(*question))
"""
LINUX = "x86_64-unknown-linux-gnu"
PROCESSORS = {
    (LINUX, "x86-64", ""): 16,
    (LINUX, "generic", ""): 16,
    (LINUX, "sandybridge", ""): 32,
    (LINUX, "haswell", ""): 32,
    (LINUX, "znver3", ""): 32,
    (LINUX, "skylake-avx512", ""): 64,
    (LINUX, "skylake-avx512", "-avx512f"): 32,
    (LINUX, "haswell", "+avx512f"): 64,
    (LINUX, "haswell", "-avx"): 16,
    ("aarch64-unknown-linux-gnu", "neoverse-n1", ""): 16,
    ("arm64-apple-macosx", "apple-m1", ""): 16,
}
# NUMBA_CPU_NAME, NUMBA_CPU_FEATURES -> bytes. A name alone never widens what the host has.
TOLD = {
    ("generic", None): 16,
    ("haswell", "+64bit,+avx2,+fma"): 32,
    ("haswell", ""): 32,
    ("skylake-avx512", ""): 64,
}


@cache
def asked() -> dict[tuple[str, str | None], list[str]]:
    """Return what processes print that are told each processor; they run no code made for it."""
    script = ASK.format(questions=[])
    jobs: dict[tuple[str, str | None], subprocess.Popen[str]] = {}
    for name, features in TOLD:
        given = {"NUMBA_CPU_NAME": name, "NUMBA_CPU_FEATURES": features}
        environment = {k: v for k, v in (os.environ | given).items() if v is not None}
        jobs[name, features] = _process(script, environment)
    return {told: job.communicate(timeout=120)[0].split() for told, job in jobs.items()}


def _process(script: str, environment: dict[str, str]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", script]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def _is_x86() -> bool:
    import llvmlite.binding as llvm

    return llvm.get_default_triple().startswith("x86_64")


def test_the_width_is_what_llvm_uses_on_every_processor() -> None:
    job = _process(ASK.format(questions=list(PROCESSORS)), dict(os.environ))
    _, _, *widths = job.communicate(timeout=120)[0].split()
    assert dict(zip(PROCESSORS, map(int, widths), strict=True)) == PROCESSORS


@pytest.mark.skipif(not _is_x86(), reason="the names are those of x86")
def test_vectors_follow_the_processor_that_numba_is_told() -> None:
    assert {told: int(width) for told, (width, _) in asked().items()} == TOLD


@pytest.mark.skipif(not _is_x86(), reason="the names are those of x86")
def test_kernels_of_different_processors_have_different_names() -> None:
    fingerprints = {mark for _, mark in asked().values()}
    assert len(fingerprints) == len(TOLD)
