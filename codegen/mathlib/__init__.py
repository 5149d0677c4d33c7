"""Vectorizable elementary functions with stated error bounds, written as IR."""

from .formula import Accuracy
from .library import FUNCTIONS, build_function
from .programs import Program

__all__ = ["FUNCTIONS", "Accuracy", "Program", "build_function"]
