"""Search over schedules: spaces of candidates, evaluators that cost them, and ways to look."""

from .beam import BeamSearch
from .budget import Budget
from .candidate import Candidate, Evaluator, Result
from .evolutionary import EvolutionarySearch
from .exploration import SearchReport, Visit
from .scop_check import ScopCheck
from .scop_space import scop_space
from .space import SearchSpace
from .step_space import StepSpace
from .vectorized_original import vectorized_original

__all__ = [
    "BeamSearch",
    "Budget",
    "Candidate",
    "Evaluator",
    "EvolutionarySearch",
    "Result",
    "ScopCheck",
    "SearchReport",
    "SearchSpace",
    "StepSpace",
    "Visit",
    "scop_space",
    "vectorized_original",
]
