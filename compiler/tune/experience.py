"""What earlier runs measured on this machine, as candidates that correct the cost model.

The database has the features of measured schedules beside their records; models that look at
features alone learn from them before anything is measured anew.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...costmodel.features.nests import Array
from ...costmodel.features.program import PROGRAM_NAMES
from ...costmodel.models.files import feature_digest
from ...costmodel.models.interface import Candidates
from ...dialects.errors import InvalidInputError
from ..records.best import RecordedSchedules
from ..records.record import Record

STORED = np.dtype("<f4")


def keep_features(records: RecordedSchedules, record: Record, candidate: Candidates) -> None:
    """Store what the model was told about the schedule of `record`."""
    row = candidate.features[0].astype(STORED).tobytes()
    records.database.add_features(record, feature_digest(), row)


def experience(
    records: RecordedSchedules, number_of: Callable[[str], int]
) -> tuple[Candidates, Array] | None:
    """Measured candidates and their seconds, the latest last; tasks are numbered by `number_of`.

    Sessions compare by the time of the default schedule: each task has the shortest one seen.
    """
    kept = [
        (record, row)
        for record, row in records.database.features(
            feature_digest(), records.target, records.threads
        )
        if record.compiler == records.compiler and record.speedup
    ]
    if not kept:
        return None
    usual: dict[str, float] = {}
    for record, _ in kept:
        baseline = record.baseline or np.inf
        usual[record.task] = min(usual.get(record.task, np.inf), baseline)
    features = np.stack([features_of(row) for _, row in kept])
    seconds = np.array([usual[record.task] / record.speedup for record, _ in kept])
    tasks = np.array([number_of(record.task) for record, _ in kept], np.int64)
    return Candidates((), features, (), tasks), seconds


def features_of(row: bytes) -> Array:
    """The numbers of a stored row; InvalidInputError where it is none of this schema."""
    if len(row) != STORED.itemsize * len(PROGRAM_NAMES):
        raise InvalidInputError(
            f"a row of features in the tuning database has {len(row)} bytes, expected "
            f"{STORED.itemsize * len(PROGRAM_NAMES)}; prune the database or use another"
        )
    found: Array = np.frombuffer(row, STORED).astype(np.float64)
    if not np.isfinite(found).all():
        raise InvalidInputError("a row of features in the tuning database is not finite")
    return found
