"""Where a wrong result comes from: the first pass, schedule step or kernel with another meaning."""

from .bisect import bisect
from .culprit import Culprit

__all__ = ["Culprit", "bisect"]
