"""Damaged input to the targets of `parsers`, by mutation: needs nothing, and repeats."""

from __future__ import annotations

import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import tilecast

from ..conformance.batch import time_limit
from .parsers import TARGETS, check_seeds, folder

PACKAGE = Path(tilecast.__file__).parent
SECONDS = 10  # of processor time for one input
ODD_BYTES = b"\x00\xff\x80-0129,.:;()[]{}<>%@#\"'\n\\ eEx"
ODD_WORDS = (b"-1", b"0", b"99999999999999999999", b"1e400", b"nan", b"null", b"[]", b"{}", b'""')


@dataclass
class Findings:
    """Errors that are not the project's own, one per place that raised it."""

    runs: int = 0
    slowest: float = 0.0
    found: dict[str, bytes] = field(default_factory=dict)

    def add(self, error: BaseException, data: bytes) -> bool:
        """Note an error; whether its place is new."""
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if is_own(Path(f.filename))] or frames
        place = f"{Path(own[-1].filename).name}:{own[-1].name}"
        key = f"{type(error).__name__} in {place} (raised by {Path(frames[-1].filename).name})"
        is_new = key not in self.found
        if is_new or len(data) < len(self.found[key]):
            self.found[key] = data
        return is_new


def is_own(file: Path) -> bool:
    """Whether a file is of this project, and not of what is installed inside of its folder."""
    return file.is_relative_to(PACKAGE) and "site-packages" not in file.parts


def mutated(rng: Random, seeds: list[bytes]) -> bytes:
    """A seed with a few changes."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        if not data:
            break
        at = rng.randrange(len(data))
        kind = rng.randrange(8)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.choice(ODD_BYTES)
        elif kind == 2:
            del data[at : at + rng.choice((1, 1, 2, 4, 16))]
        elif kind == 3:
            data[at:at] = rng.choice(ODD_WORDS)
        elif kind == 4:
            other = rng.choice(seeds)
            cut = rng.randrange(len(other) + 1)
            data[at : at + rng.randrange(16)] = other[cut : cut + rng.randrange(40)]
        elif kind == 5:
            data[at:at] = data[at : at + rng.randrange(60)]
        elif kind == 6:
            replace_number(rng, data, at)
        else:
            data = data[:at] if rng.random() < 0.2 else data
    return bytes(data)


def replace_number(rng: Random, data: bytearray, at: int) -> None:
    """Another number for the one that follows `at`."""
    start = next((k for k in range(at, len(data)) if data[k : k + 1].isdigit()), None)
    if start is None:
        return
    end = start
    while end < len(data) and data[end : end + 1].isdigit():
        end += 1
    data[start:end] = rng.choice((b"0", b"1", b"2", b"7", b"-3", b"64", b"2147483648", b"1" * 30))


def mutate_target(name: str, runs: int, seconds: float, seed: int = 0) -> Findings:
    """Feed mutations of the seeds until either limit is reached."""
    check_seeds(name)
    target, rng, findings = TARGETS[name], Random(f"{name} {seed}"), Findings()
    seeds, start = target.seeds(), time.monotonic()
    while findings.runs < runs and time.monotonic() - start < seconds:
        feed(name, mutated(rng, seeds), findings)
    return findings


def feed(name: str, data: bytes, findings: Findings) -> None:
    """Feed `data` and note what it raises."""
    start = time.monotonic()
    (folder() / "current").write_bytes(data)  # what is left of an input that never ends
    try:
        with time_limit(SECONDS):
            TARGETS[name](data)
    except Exception as error:
        if findings.add(error, data):
            print(
                f"{name}: {list(findings.found)[-1]}: {error!r:.200}", file=sys.stderr, flush=True
            )
            (folder() / f"{name}-{len(findings.found)}.txt").write_bytes(data)
    findings.runs += 1
    findings.slowest = max(findings.slowest, time.monotonic() - start)
