"""The parent's side of a worker: started when needed, killed when it hangs, told when it died."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO, Any

from ..options import compiler_environment

LAST_WORDS = 2000


class WorkerDied(Exception):
    """The process ended before it answered: `str` says by which signal or with what words."""


class WorkerTimeout(Exception):
    """The process did not answer in time and was killed."""


class WorkerProcess:
    """A process that runs `python -m module arguments` and answers JSON lines.

    A worker is a session of its own, so that killing it takes its compiler along.
    """

    def __init__(self, module: str, arguments: Sequence[str], threads: int = 1) -> None:
        self._command = [sys.executable, "-m", module, *arguments]
        self._environment = {
            **compiler_environment(),
            "OMP_NUM_THREADS": str(threads),
            "OMP_DYNAMIC": "false",
            "OPENBLAS_NUM_THREADS": str(threads),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._words: IO[bytes] | None = None
        self._rest = b""

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def send(self, request: dict[str, Any]) -> None:
        """Start the process where there is none, and ask."""
        if not self.is_running:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise WorkerDied(self._epitaph()) from None

    def receive(self, timeout: float) -> dict[str, Any]:
        """The answer to the oldest open request."""
        pipe, deadline = self.fileno(), time.monotonic() + timeout
        while b"\n" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([pipe], [], [], left)[0]:
                self.kill()
                raise WorkerTimeout(f"no answer within {timeout:.1f} s")
            received = os.read(pipe, 1 << 16)
            if not received:
                raise WorkerDied(self._epitaph())
            self._rest += received
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def fileno(self) -> int:
        """Becomes readable when an answer is there, for `select`."""
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def request(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Ask and wait; WorkerDied or WorkerTimeout where no answer comes."""
        self.send(request)
        return self.receive(timeout)

    def kill(self) -> None:
        """End the process and its children."""
        if self._process is None:
            return
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._words):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._process, self._words, self._rest = None, None, b""

    def _start(self) -> None:
        self.kill()
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - closed by kill
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            start_new_session=True,
        )

    def _epitaph(self) -> str:
        """How the process ended, and the end of what it wrote to stderr."""
        assert self._process is not None
        assert self._words is not None
        code = self._process.wait()
        self._words.seek(0)
        said = self._words.read().decode(errors="replace").strip()[-LAST_WORDS:]
        self.kill()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"{how}: {said}" if said else how


def wait_for_any(workers: Sequence[WorkerProcess], timeout: float) -> list[WorkerProcess]:
    """The workers that have something to say; none where `timeout` seconds pass before."""
    return select.select(workers, [], [], max(0.0, timeout))[0]
