"""Steps on the loop tree: what each makes of it. `legality` checks the result."""

from .apply import apply_step, apply_steps
from .original import original_tree

__all__ = ["apply_step", "apply_steps", "original_tree"]
