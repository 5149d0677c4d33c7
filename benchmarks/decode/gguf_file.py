"""The weights of a Llama as a GGUF file of one block type, with the names of llama.cpp."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ..lowbit.llama_cpp import TYPES, ggml
from .model import EPSILON, ROPE_BASE, Llama, Shape

Floats = npt.NDArray[np.float32]
LAYER_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "attn_norm": "attn_norm",
    "ffn_norm": "ffn_norm",
    "gate_proj": "ffn_gate",
    "up_proj": "ffn_up",
    "down_proj": "ffn_down",
}
OTHER_NAMES = {"embed": "token_embd", "norm": "output_norm", "lm_head": "output"}


def write_gguf(model: Llama, kind: str, path: Path) -> None:
    """Write all matrices as blocks of `kind` (Q4_0, ...), norms as f32."""
    import gguf

    shape = model.shape
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(shape.positions)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.key_heads)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(ROPE_BASE)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_tokenizer_model("no_vocab")
    for name, parameter in model.named_parameters():
        matrix = interleaved(name, parameter, shape).numpy()
        if parameter.dim() == 1:
            writer.add_tensor(gguf_name(name), matrix)
        else:
            blocks, type = quantized(matrix, kind), gguf.GGMLQuantizationType[kind]
            writer.add_tensor(gguf_name(name), blocks, raw_dtype=type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def gguf_name(name: str) -> str:
    """The name of a parameter in the file."""
    stem = name.removesuffix(".weight")
    if stem in OTHER_NAMES:
        return f"{OTHER_NAMES[stem]}.weight"
    _, number, inner = stem.split(".", 2)
    return f"blk.{number}.{LAYER_NAMES[inner]}.weight"


def interleaved(name: str, parameter: Tensor, shape: Shape) -> Tensor:
    """Rows of queries and keys in llama.cpp's order: it turns neighbours, not halves."""
    if ".q_proj" not in name and ".k_proj" not in name:
        return parameter.detach()
    halves = parameter.detach().view(-1, 2, shape.head_width // 2, shape.width)
    return halves.transpose(1, 2).reshape(parameter.shape).contiguous()


def quantized(matrix: Floats, kind: str) -> npt.NDArray[np.uint8]:
    """The rows of `matrix` as blocks, by ggml itself."""
    number = TYPES[kind][0]
    rows, columns = matrix.shape
    functions: dict[str, Any] = ggml()
    row_bytes = functions["ggml_row_size"](number, columns)
    blocks = np.empty((rows, row_bytes), np.uint8)
    functions["ggml_quantize_chunk"](
        number, matrix.ctypes.data, blocks.ctypes.data, 0, rows, columns, None
    )
    return blocks
