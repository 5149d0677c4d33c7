"""Requests to a worker process: a line of JSON there, a line of JSON back."""

from __future__ import annotations

import json
import subprocess
from typing import Any


def ask(process: subprocess.Popen[str], request: dict[str, Any]) -> dict[str, Any]:
    """The answer to a request; {"failed": reason} where the process has ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
    except BrokenPipeError:
        line = ""
    if not line:
        return {"failed": f"the process ended with status {process.wait()}"}
    answer: dict[str, Any] = json.loads(line)
    return answer


def stop(process: subprocess.Popen[str]) -> None:
    """End a worker."""
    if process.poll() is None:
        process.terminate()
    process.wait()
