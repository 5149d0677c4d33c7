"""The call path: structure, checks, reuse of outputs, threads."""

from __future__ import annotations

import gc
import sys
import threading

import numpy as np
import pytest
import torch
from tilecast.compiler.runtime import pool as pool_module
from tilecast.compiler.runtime.signature import OutputLeaf
from tilecast.dialects.errors import InvalidInputError
from torch.utils._pytree import tree_structure

LARGE = (128, 256)  # 128 KiB: big enough for the output pool


def weight(shape):
    return torch.arange(int(np.prod(shape)), dtype=torch.float32).reshape(shape)


def test_result_is_input_plus_weight(build_model):
    model = build_model((4,))
    x = torch.randn(4)
    assert torch.equal(model(x), x + weight((4,)))


def test_wrong_shape_names_the_input_and_both_shapes(build_model):
    model = build_model((4,))
    with pytest.raises(InvalidInputError, match=r"input 'x'.*float32\[4\].*float32\[5\]"):
        model(torch.randn(5))


def test_wrong_dtype_is_refused(build_model):
    with pytest.raises(InvalidInputError, match=r"expected.*float32\[4\], found float64\[4\]"):
        build_model((4,))(torch.randn(4, dtype=torch.float64))


@pytest.mark.parametrize("value", [3.0, None, np.zeros(4, np.float32), [1.0] * 4])
def test_what_is_no_tensor_is_refused(build_model, value):
    with pytest.raises(InvalidInputError):
        build_model((4,))(value)


def test_meta_and_sparse_tensors_are_refused(build_model):
    model = build_model((4,))
    with pytest.raises(InvalidInputError, match="on meta"):
        model(torch.empty(4, device="meta"))
    with pytest.raises(InvalidInputError, match="layout"):
        model(torch.ones(4).to_sparse())


def test_too_many_arguments_and_unknown_keywords_are_refused(build_model):
    model = build_model((4,))
    x = torch.randn(4)
    for arguments, keywords in (((x, x), {}), ((), {}), ((x,), {"scale": 2})):
        with pytest.raises(InvalidInputError, match="structure"):
            model(*arguments, **keywords)


def test_model_still_works_after_a_refused_call(build_model):
    model = build_model((4,))
    with pytest.raises(InvalidInputError):
        model(torch.randn(5))
    assert torch.equal(model(torch.zeros(4)), weight((4,)))


def test_strided_and_offset_inputs_give_the_same_result(build_model):
    model = build_model((4,))
    base = torch.randn(9)
    assert torch.equal(model(base[1::2]), base[1::2] + weight((4,)))
    assert torch.equal(model(base[3:7]), base[3:7] + weight((4,)))
    assert torch.equal(model(base[:1].expand(4)), base[:1] + weight((4,)))


def test_pytree_of_keywords_and_output_is_that_of_the_model(build_model):
    model = build_model(
        (4,),
        in_spec=tree_structure(((1,), {"x": 0.0})),
        out_spec=tree_structure({"y": 0.0, "again": (0.0, 0.0), "none": 0.0}),
        leaves=(
            OutputLeaf("result"),
            OutputLeaf("input"),
            OutputLeaf("constant", constant=7),
            OutputLeaf("constant", constant=None),
        ),
        positions=(1,),
        constants={0: 1},
    )
    x = torch.randn(4)
    result = model(1, x=x)
    assert list(result) == ["y", "again", "none"]
    assert torch.equal(result["y"], x + weight((4,)))
    assert result["again"][0] is x
    assert result["again"][1] == 7
    assert result["none"] is None
    with pytest.raises(InvalidInputError, match="expected 1, got 2"):
        model(2, x=x)
    with pytest.raises(InvalidInputError, match="compiled in"):
        model(True, x=x)


def test_dropped_output_memory_is_used_again(build_model):
    model = build_model(LARGE)
    first = model(torch.zeros(LARGE)).data_ptr()
    gc.collect()
    assert model(torch.zeros(LARGE)).data_ptr() == first


ALIASES = {
    "tensor": lambda y: y,
    "view": lambda y: y[3:5].t(),
    "numpy": lambda y: y.numpy(),
    "numpy view": lambda y: y.numpy()[::2],
    "dlpack": lambda y: torch.utils.dlpack.to_dlpack(y),
    "memoryview": lambda y: memoryview(y.numpy()),
    "storage": lambda y: y.untyped_storage(),
    "detached": lambda y: y.detach(),
    "autograd graph": lambda y: torch.ones(LARGE, requires_grad=True) * y,
}


@pytest.mark.parametrize("alias", ALIASES)
def test_output_that_is_still_referenced_is_never_overwritten(build_model, alias):
    model = build_model(LARGE)
    result = model(torch.zeros(LARGE))
    address = result.data_ptr()
    kept = ALIASES[alias](result)
    del result
    gc.collect()
    others = [model(torch.full(LARGE, float(k))) for k in range(6)]
    assert address not in [other.data_ptr() for other in others]
    del kept, others
    gc.collect()
    assert address in [model(torch.zeros(LARGE)).data_ptr() for _ in range(6)]


def test_many_live_outputs_keep_their_values(build_model):
    model = build_model(LARGE)
    results = [model(torch.full(LARGE, float(k))) for k in range(20)]
    for k, result in enumerate(results):
        assert torch.equal(result, weight(LARGE) + k)


def test_output_fed_back_as_input_is_not_overwritten_while_read(build_model):
    model = build_model(LARGE)
    y = torch.zeros(LARGE)
    for _ in range(5):
        y = model(y)
    assert torch.equal(y, weight(LARGE) * 5)


def test_storage_resized_or_shared_by_the_caller_is_given_up(build_model):
    model = build_model(LARGE)
    y = model(torch.zeros(LARGE))
    y.untyped_storage().resize_(0)
    del y
    assert torch.equal(model(torch.zeros(LARGE)), weight(LARGE))
    z = model(torch.zeros(LARGE))
    z.share_memory_()
    shared = z.data_ptr()
    del z
    assert model(torch.zeros(LARGE)).data_ptr() != shared


def test_result_of_inference_mode_can_be_used_outside(build_model):
    model = build_model(LARGE)
    with torch.inference_mode():
        model(torch.zeros(LARGE))
    y = model(torch.zeros(LARGE))
    assert not y.is_inference()
    y.mul_(torch.ones(LARGE, requires_grad=True).detach()).requires_grad_()


def test_pool_is_not_needed(build_model, monkeypatch):
    monkeypatch.setattr(pool_module, "use_count", None)
    model = build_model(LARGE)
    assert torch.equal(model(torch.zeros(LARGE)), weight(LARGE))


def test_threads_that_call_at_once_get_their_own_results(build_model):
    model = build_model(LARGE)
    wrong: list[int] = []

    def work(number: int) -> None:
        expected = weight(LARGE) + number
        for _ in range(50):
            if not torch.equal(model(torch.full(LARGE, float(number))), expected):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


WAIT = """
void {name}_program(const void *const *inputs, void *const *outputs,
                    const void *const *weights, unsigned char *arena);
void {name}_program(const void *const *inputs, void *const *outputs,
                    const void *const *weights, unsigned char *arena)
{{
    const volatile float *x = inputs[0];
    long patience = 3000000000L / {count};
    while (x[0] == 0.0f && --patience > 0) {{ }}
    *(float *)outputs[0] = patience > 0;
}}
"""


def test_other_threads_run_during_a_call(build_model):
    model, x = build_model((1,), source=WAIT), torch.zeros(1)
    thread = threading.Thread(target=lambda: x.fill_(1.0))
    timer = threading.Timer(0.05, thread.start)  # while the call waits for it
    timer.start()
    assert model(x).item() == 1.0
    thread.join()


def test_a_call_does_little_beside_the_kernel(build_model):
    """Counted, not timed: seconds depend on what else the machine does."""
    model = build_model((4,))
    x = torch.randn(4)
    model(x)
    called = []

    def count(frame, event, argument):
        if event in ("call", "c_call"):
            called.append(getattr(argument, "__name__", frame.f_code.co_name))

    sys.setprofile(count)
    model(x)
    sys.setprofile(None)
    assert len(called) <= 16, called
