"""The worker's side of the pipe: requests and answers are JSON objects, one a line."""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable
from typing import Any

Handler = Callable[[dict[str, Any]], dict[str, Any]]


def limit_memory(limit: int) -> None:
    """Let allocations fail that would take this process beyond `limit` bytes."""
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def serve(handler: Handler) -> None:
    """Answer requests until stdin ends. What libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            answer = handler(json.loads(line))
        except MemoryError as error:
            answer = {"failure": "memory", "detail": str(error)}
        answers.write(json.dumps(answer) + "\n")
