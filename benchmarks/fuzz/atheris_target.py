"""`python -m benchmarks.fuzz.atheris_target TARGET SECONDS`: damaged input, guided by coverage.

Needs `pip install atheris`. SECONDS are of processor time: a busy machine does not make the run a
shorter one. Inputs start from the target's seeds and from what earlier runs found
(`build/fuzz/TARGET`); findings are printed at the end, and the run is added to the log of fuzzing.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["tilecast", "xdsl.parser", "xdsl.utils"]):
    from .check_parsers import Findings, feed
    from .log import RESULTS, add_parser_run
    from .parsers import TARGETS, check_seeds

CORPORA = Path(__file__).parents[2] / "build" / "fuzz"


def main(name: str, seconds: int) -> None:
    """Fuzz until `seconds` of processor time are over, and report. (libFuzzer would end the process
    without it.)"""
    findings, start, used = Findings(), time.monotonic(), time.process_time()

    def report() -> None:
        print(f"{name}: {findings.runs} inputs, slowest {findings.slowest:.1f} s")
        for place, data in findings.found.items():
            print(f"  {place}: {data[:300]!r}")
        spent = round(time.monotonic() - start)
        busy = round(time.process_time() - used)
        add_parser_run(RESULTS, name, spent, busy, findings.runs, list(findings.found))

    with atheris.instrument_imports(include=["tilecast", "xdsl.parser", "xdsl.utils"]):
        check_seeds(name)  # imports what the target needs
    corpus = CORPORA / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(TARGETS[name].seeds()):
        (corpus / f"seed-{number}").write_bytes(data)
    # What is slow is reported; libFuzzer ends the process at its own limit, without a report.
    options = ["-max_len=8192", "-rss_limit_mb=4096", "-timeout=1000"]
    options.append(f"-artifact_prefix={CORPORA}/")

    def feed_until_the_end(data: bytes) -> None:
        feed(name, data, findings)
        if time.process_time() - used > seconds:
            report()
            sys.stdout.flush()
            os._exit(0)

    atheris.Setup([sys.argv[0], *options, str(corpus)], feed_until_the_end)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
