"""A tiny model with C written by hand: what the runtime needs of the compiler, and no more."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tilecast.compiler.runtime.artifact import Artifact
from tilecast.compiler.runtime.cache import Store
from tilecast.compiler.runtime.library import CALL_SOURCE, call_unit
from tilecast.compiler.runtime.model import CompiledModel
from tilecast.compiler.runtime.signature import OutputLeaf, Signature, TensorSpec
from tilecast.compiler.runtime.toolchain import build_library, find_toolchain
from tilecast.compiler.target import native_machine
from torch.utils._pytree import TreeSpec, tree_structure

ADD = """
void {name}_program(const void *const *inputs, void *const *outputs,
                    const void *const *weights, unsigned char *arena);
void {name}_program(const void *const *inputs, void *const *outputs,
                    const void *const *weights, unsigned char *arena)
{{
    const float *x = inputs[0], *w = weights[0];
    float *y = outputs[0], *scratch = (float *)arena;
    for (long i = 0; i < {count}; ++i)
        scratch[i] = x[i] + w[i];
    for (long i = 0; i < {count}; ++i)
        y[i] = scratch[i];
}}
"""


def add_model(
    store: Store,
    shape: tuple[int, ...] = (4,),
    in_spec: TreeSpec | None = None,
    out_spec: TreeSpec | None = None,
    leaves: tuple[OutputLeaf, ...] = (OutputLeaf("result"),),
    positions: tuple[int, ...] = (0,),
    constants: dict[int, object] | None = None,
    source: str = ADD,
) -> CompiledModel:
    """y = x + w with w = 0, 1, 2, ..."""
    count = int(np.prod(shape))
    units = {"model.c": source.format(name="model", count=count), CALL_SOURCE: call_unit("model")}
    toolchain, machine = find_toolchain(), native_machine()
    content = build_library(units, toolchain, machine, store)
    spec = TensorSpec("x", "float32", shape)
    signature = Signature(
        inputs=(spec,),
        results=(TensorSpec("y", "float32", shape),),
        leaves=leaves,
        positions=positions,
        constants=constants or {},
        in_spec=in_spec or tree_structure(((0.0,), {})),
        out_spec=out_spec or tree_structure(0.0),
    )
    weight = np.arange(count, dtype=np.float32).reshape(shape)
    artifact = Artifact(
        name="model",
        machine=machine,
        threads=1,
        signature=signature,
        arena_bytes=4 * count,
        arena_lower_bound=4 * count,
        sources=units,
        weights={"w": weight},
        ir={},
        kernels=(),
        reduction_length=1,
        compiler=toolchain.identity,
        flags=toolchain.flags(machine),
    )
    parts = {"source": source, "shape": str(shape)}
    entry = store.add("models", f"model{count}", artifact.to_files(content), parts)
    loaded = Artifact.from_entry(entry, signature.in_spec, signature.out_spec, [None] * 8)
    assert loaded is not None
    fields = {**loaded.__dict__, "signature": signature}
    return CompiledModel(Artifact(**fields))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty cache."""
    root = tmp_path / "cache"
    root.mkdir(mode=0o700)
    return Store(root)


@pytest.fixture
def build_model(store: Store) -> Callable[..., CompiledModel]:
    """`add_model` in the empty cache."""
    return partial(add_model, store)
