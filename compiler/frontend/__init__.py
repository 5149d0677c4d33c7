"""torch.export programs in, `graph` IR out."""

from .export import export_model, load_exported
from .imported_model import ImportedModel, OutputSpec, TensorSpec
from .program import import_program

__all__ = [
    "ImportedModel",
    "OutputSpec",
    "TensorSpec",
    "export_model",
    "import_program",
    "load_exported",
]
