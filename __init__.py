"""Compile PyTorch models into standalone, verified, vectorized C."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .compiler.driver import compile, emit
    from .compiler.frontend.kernel_language import f32, f64, i8, i32, i64, kernel
    from .compiler.load import load_package as load
    from .compiler.quantize import quantize
    from .compiler.quantize.cache import QuantizedCache
    from .compiler.quantize.gguf import from_gguf, with_gguf
    from .compiler.runtime.model import CompiledModel
    from .compiler.verify.report import VerifyReport
    from .dialects.errors import TilecastError, VerifyFailure
    from .dialects.quant.element_table import register_codebook
    from .passes.added import register_pass

# Loaded on first use: `import tilecast` alone must not cost the import of torch.
_PUBLIC = {
    "CompiledModel": "compiler.runtime.model:CompiledModel",
    "QuantizedCache": "compiler.quantize.cache:QuantizedCache",
    "TilecastError": "dialects.errors:TilecastError",
    "VerifyFailure": "dialects.errors:VerifyFailure",
    "VerifyReport": "compiler.verify.report:VerifyReport",
    "compile": "compiler.driver:compile",
    "emit": "compiler.driver:emit",
    "f32": "compiler.frontend.kernel_language:f32",
    "f64": "compiler.frontend.kernel_language:f64",
    "from_gguf": "compiler.quantize.gguf:from_gguf",
    "i8": "compiler.frontend.kernel_language:i8",
    "i32": "compiler.frontend.kernel_language:i32",
    "i64": "compiler.frontend.kernel_language:i64",
    "kernel": "compiler.frontend.kernel_language:kernel",
    "load": "compiler.load:load_package",
    "quantize": "compiler.quantize:quantize",
    "register_codebook": "dialects.quant.element_table:register_codebook",
    "register_pass": "passes.added:register_pass",
    "with_gguf": "compiler.quantize.gguf:with_gguf",
}

__all__ = [
    "CompiledModel",
    "QuantizedCache",
    "TilecastError",
    "VerifyFailure",
    "VerifyReport",
    "compile",
    "emit",
    "f32",
    "f64",
    "from_gguf",
    "i8",
    "i32",
    "i64",
    "kernel",
    "load",
    "quantize",
    "register_codebook",
    "register_pass",
    "with_gguf",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    value = getattr(import_module(f".{module}", __name__), attribute)
    globals()[name] = value
    return value
