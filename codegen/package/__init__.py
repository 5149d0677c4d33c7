"""The standalone source package that `save` writes: C sources, weights, IR, check, manifest."""

from .content import CheckData, CheckOutput, PackageContent, Program, StateData, TensorSignature
from .read import StoredPackage, StoredProgram, read_package
from .write import write_package

__all__ = [
    "CheckData",
    "CheckOutput",
    "PackageContent",
    "Program",
    "StateData",
    "StoredPackage",
    "StoredProgram",
    "TensorSignature",
    "read_package",
    "write_package",
]
