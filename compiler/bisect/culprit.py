"""What a search for a defect finds: a pass, the kernel it shows in, the IR around it."""

from __future__ import annotations

from dataclasses import dataclass

from ..verify.report import CheckResult

WHOLE = "main"


@dataclass(frozen=True)
class Culprit:
    """What changes the meaning, or fails: a pass of the compiler, "import", or "emit" (the C text).

    `kernel` is where it shows ("main": in the model as a whole), `step` the schedule step that
    does it, `before` and `after` are the IR around the pass. `result` is what is wrong, or None
    where `problem` says how the pass failed.
    """

    pass_name: str
    kernel: str
    result: CheckResult | None
    before: str
    after: str
    step: str = ""
    problem: str = ""

    def __str__(self) -> str:
        """One line."""
        step = f", step {self.step}" if self.step else ""
        r = self.result
        if r is None:
            return f"{self.pass_name}{step} fails for {self.kernel}: {self.problem}"
        return (
            f"{self.pass_name}{step} changes {self.kernel}: found {r.found!r}, expected "
            f"{r.expected!r} at {list(r.index)}"
        )
