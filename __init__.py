"""Compile PyTorch models into standalone, verified, vectorized C."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .compiler.driver import compile, emit
    from .compiler.load import load_package as load
    from .compiler.runtime.model import CompiledModel
    from .compiler.verify.report import VerifyReport
    from .dialects.errors import TilecastError, VerifyFailure

# Loaded on first use: `import tilecast` alone must not cost the import of torch.
_PUBLIC = {
    "CompiledModel": "compiler.runtime.model:CompiledModel",
    "TilecastError": "dialects.errors:TilecastError",
    "VerifyFailure": "dialects.errors:VerifyFailure",
    "VerifyReport": "compiler.verify.report:VerifyReport",
    "compile": "compiler.driver:compile",
    "emit": "compiler.driver:emit",
    "load": "compiler.load:load_package",
}

__all__ = [
    "CompiledModel",
    "TilecastError",
    "VerifyFailure",
    "VerifyReport",
    "compile",
    "emit",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PUBLIC[name].partition(":")
    value = getattr(import_module(f".{module}", __name__), attribute)
    globals()[name] = value
    return value
