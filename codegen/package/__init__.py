"""The standalone source package that `save` writes: C sources, weights, IR, check, manifest."""

from .content import CheckData, CheckOutput, PackageContent, TensorSignature
from .read import StoredPackage, read_package
from .write import write_package

__all__ = [
    "CheckData",
    "CheckOutput",
    "PackageContent",
    "StoredPackage",
    "TensorSignature",
    "read_package",
    "write_package",
]
