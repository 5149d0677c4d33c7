"""Write the Remez polynomials into programs.json: `python -m benchmarks.mathlib.fit_programs`.

They are where the search starts. Programs that a search has found stay, unless named.
"""

from __future__ import annotations

import json
import sys

from tilecast.codegen.mathlib.programs import STORE, horner

from .goals import DEGREES, goals
from .remez import fit


def main() -> None:
    """Fit the goals named on the command line, or all that have no program yet."""
    rows = json.loads(STORE.read_text()) if STORE.exists() else {}
    for name, goal in goals().items():
        fine, coarse, double = DEGREES[name]
        for key, degree in (("f32.1", fine), ("f32.4", coarse), ("f64.1", double)):
            if f"{name}.{key}" in rows and name not in sys.argv[1:]:
                continue
            coefficients, error = fit(goal, degree, key[:3])
            rows[f"{name}.{key}"] = {
                "steps": list(horner(coefficients).steps),
                "error": float(f"{error:.3g}"),
                "origin": f"Remez, degree {degree}",
            }
            print(f"{name}.{key}: degree {degree}, error {error:.3g}", file=sys.stderr)
    STORE.write_text(json.dumps(dict(sorted(rows.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
