"""Where a wrong result comes from: the first pass, schedule step or kernel with another meaning."""

from .bisect import Culprit, bisect

__all__ = ["Culprit", "bisect"]
