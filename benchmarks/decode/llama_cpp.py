"""llama.cpp on a GGUF file, through the functions that `llama-cpp-python` exposes."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class LlamaCpp:
    """A context of one sequence: a prompt from position 0, or one token behind what is there."""

    def __init__(self, path: Path, positions: int, vocabulary: int, threads: int) -> None:
        import llama_cpp

        self.api: Any = llama_cpp.llama_cpp
        self.vocabulary = vocabulary
        self.log = self.api.llama_log_callback(lambda *_: None)
        self.api.llama_log_set(self.log, ctypes.c_void_p(0))
        self.api.llama_backend_init()
        self.model = self.api.llama_model_load_from_file(
            str(path).encode(), self.api.llama_model_default_params()
        )
        settings = self.api.llama_context_default_params()
        settings.n_ctx = settings.n_batch = settings.n_ubatch = positions
        settings.n_threads = settings.n_threads_batch = threads
        settings.no_perf = True
        self.context = self.api.llama_init_from_model(self.model, settings)
        if not self.context:
            raise RuntimeError(f"llama.cpp cannot load {path}")
        self.memory = self.api.llama_get_memory(self.context)

    def run(self, tokens: Sequence[int], position: int) -> npt.NDArray[np.float32]:
        """The logits of the last of `tokens`, which come at `position`; what was behind is gone."""
        self.api.llama_memory_seq_rm(self.memory, 0, position, -1)
        array = (ctypes.c_int32 * len(tokens))(*tokens)
        status = self.api.llama_decode(
            self.context, self.api.llama_batch_get_one(array, len(tokens))
        )
        if status != 0:
            raise RuntimeError(f"llama_decode gave {status}")
        logits = self.api.llama_get_logits_ith(self.context, -1)
        return np.ctypeslib.as_array(logits, (self.vocabulary,)).copy()
