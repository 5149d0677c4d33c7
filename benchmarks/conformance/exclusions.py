"""Entries of torch's operator database that are out of scope, each with the reason.

This list is frozen: an operator that we could support belongs into the table, not here.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

RANDOM = "random numbers"
COMPLEX = "complex numbers"
SPARSE = "sparse tensors"
DECOMPOSITION = "a decomposition or solver of dense linear algebra"
FFT = "Fourier transforms"
DATA_SHAPE = "the shape of the result depends on data"
MEMORY = "what it shows is memory layout or uninitialized memory, not a computation"
BACKWARD = "a gradient formula"
DEVICE = "made for other devices"
HISTOGRAM = "histograms"

EXCLUDED: dict[str, str] = {
    **dict.fromkeys(
        (
            "bernoulli",
            "cauchy",
            "exponential",
            "geometric",
            "log_normal",
            "multinomial",
            "normal",
            "normal_*",
            "rand_like",
            "randint",
            "randint_like",
            "randn",
            "randn_like",
            "uniform",
            "nn_functional_*dropout*",
            "nn_functional_rrelu",
            "nn_functional_fractional_max_pool*",
            "pca_lowrank",
            "svd_lowrank",
        ),
        RANDOM,
    ),
    **dict.fromkeys(
        ("cdouble", "cfloat", "chalf", "complex", "polar", "view_as_complex", "view_as_real"),
        COMPLEX,
    ),
    "nn_functional_silu_complex": COMPLEX,
    **dict.fromkeys(("sparse_*", "to_sparse"), SPARSE),
    **dict.fromkeys(
        (
            "cholesky*",
            "geqrf",
            "linalg_cholesky*",
            "linalg_cond",
            "linalg_det",
            "linalg_eig*",
            "linalg_householder_product",
            "linalg_inv*",
            "linalg_ldl*",
            "linalg_lstsq*",
            "linalg_lu*",
            "linalg_matrix_norm",
            "linalg_matrix_rank*",
            "linalg_norm*",
            "linalg_pinv*",
            "linalg_qr",
            "linalg_slogdet",
            "linalg_solve*",
            "linalg_svd*",
            "linalg_tensorinv",
            "linalg_tensorsolve",
            "logdet",
            "lu*",
            "matrix_exp",
            "norm_nuc",
            "ormqr",
            "pinverse",
            "qr",
            "svd",
            "triangular_solve",
        ),
        DECOMPOSITION,
    ),
    **dict.fromkeys(("fft_*", "stft", "istft"), FFT),
    **dict.fromkeys(
        (
            "argwhere",
            "bincount",
            "masked_select",
            "nonzero",
            "nonzero_static",
            "unique",
            "unique_consecutive",
            "item",
            "equal",
            "allclose",
        ),
        DATA_SHAPE,
    ),
    **dict.fromkeys(
        (
            "empty*",
            "new_empty*",
            "as_strided*",
            "resize_*",
            "to",
            "hash_tensor",
            "broadcast_shapes",
        ),
        MEMORY,
    ),
    **dict.fromkeys(
        (
            "_softmax_backward_data",
            "max_pool2d_with_indices_backward",
            "native_dropout_backward",
            "nn_functional_max_unpool*_grad",
        ),
        BACKWARD,
    ),
    **dict.fromkeys(
        (
            "jiterator_*",
            "bmm_triton_optimized",
            "torch__scaled_mm*",
            "torch_ops_aten__efficient_attention_forward",
            "torch_ops_aten__flash_attention_forward",
        ),
        DEVICE,
    ),
    **dict.fromkeys(("histc", "histogram", "histogramdd"), HISTOGRAM),
}


def exclusion(operator: str) -> str | None:
    """Why `operator` (an OpInfo's formatted name) is out of scope; None where it is in scope."""
    for pattern, reason in EXCLUDED.items():
        if fnmatchcase(operator, pattern):
            return reason
    return None
