"""A small hand-written program as package content: y = W x + b, and an integer output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from tilecast.codegen.package import (
    CheckData,
    CheckOutput,
    PackageContent,
    Program,
    TensorSignature,
)

PROGRAM = """\
#include <stdint.h>

void affine_kernel(const float *restrict x, const float *restrict w, float *restrict out);
void affine_program(const void *const *inputs, void *const *outputs, const void *const *weights,
                    unsigned char *arena);

void affine_program(const void *const *inputs, void *const *outputs, const void *const *weights,
                    unsigned char *arena) {
  const float *bias = (const float *)weights[1];
  const int64_t *shift = (const int64_t *)weights[2];
  const int64_t *k = (const int64_t *)inputs[1];
  float *product = (float *)(void *)arena;
  float *y = (float *)outputs[0];
  int64_t *n = (int64_t *)outputs[1];
  affine_kernel((const float *)inputs[0], (const float *)weights[0], product);
  for (int i = 0; i < 3; i++) y[i] = product[i] + bias[i];
  n[0] = k[0] + shift[0];
}
"""
KERNEL = """\
void affine_kernel(const float *restrict x, const float *restrict w, float *restrict out);

void affine_kernel(const float *restrict x, const float *restrict w, float *restrict out) {
#ifdef _OPENMP
#pragma omp parallel for schedule(static)
#endif
  for (int i = 0; i < 3; i++) {
    float sum = 0.0f;
    for (int j = 0; j < 5; j++) sum += w[i * 5 + j] * x[j];
    out[i] = sum;
  }
}
"""


def affine_content(**changes: Any) -> PackageContent:
    """The content, with some fields of its program or of itself replaced."""
    rng = np.random.default_rng(7)
    x = rng.standard_normal(5).astype(np.float32)
    w = rng.standard_normal((3, 5)).astype(np.float32)
    b = np.array([0.5, -1.25, 3.0], np.float32)
    shift = np.array([-(2**62)], np.int64)
    y = (w.astype(np.float64) @ x + b).astype(np.float32)
    k = np.array(41, np.int64)
    content = PackageContent(
        name="affine",
        target="x86-64",
        inputs=(TensorSignature("x", "float32", (5,)), TensorSignature("k", "int64", ())),
        outputs=(TensorSignature("y", "float32", (3,)), TensorSignature("n", "int64", ())),
        programs=(
            Program(
                symbol="affine",
                level="x86-64",
                sources={"affine.c": PROGRAM, "kernels_0.c": KERNEL},
                weights={"layer.weight": w, 'layer."bias"': b, "shift": shift},
                arena_bytes=64,
                kernels=({"name": "affine_kernel"},),
            ),
        ),
        check=CheckData((x, k), (CheckOutput(y, 1e-5, 1e-5), CheckOutput(k + shift[0], 0.0, 0.0))),
        ir={"00-import.mlir": "builtin.module {}\n"},
    )
    return with_changes(content, **changes)


def with_changes(content: PackageContent, **changes: Any) -> PackageContent:
    """`content` with some fields of its only program, or of itself, replaced."""
    (program,) = content.programs
    own = {field.name for field in fields(Program)}
    program = replace(program, **{k: v for k, v in changes.items() if k in own})
    rest = {k: v for k, v in changes.items() if k not in own}
    return replace(content, **{"programs": (program,), **rest})


@pytest.fixture
def changed() -> Callable[..., PackageContent]:
    return with_changes


@pytest.fixture
def content() -> PackageContent:
    return affine_content()
