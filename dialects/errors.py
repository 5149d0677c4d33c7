"""Every error tilecast raises on purpose; messages say expected, found, where, and what to do."""

from __future__ import annotations


class TilecastError(Exception):
    """Base of all errors that a user can cause or cure."""


class UnsupportedOperatorError(TilecastError):
    """A model uses operators that cannot be imported; lists all of them."""


class InvalidInputError(TilecastError):
    """A file, model or call argument is not what was expected."""


class OptionError(TilecastError):
    """An option has an unknown name or a value out of range."""


class MemoryBudgetError(TilecastError):
    """A model needs more memory than `max_memory` allows, however it is cut."""


class CompilerNotFoundError(TilecastError):
    """No working C compiler was found."""


class BuildError(TilecastError):
    """The C compiler refused generated code (a defect of tilecast: report it)."""


class RefusedSourceError(BuildError):
    """The C compiler ran and refused what was generated."""


class DeviceError(TilecastError):
    """A CUDA kernel, or its emulation, met an error: an access out of bounds, a race, no memory."""


class CacheError(TilecastError):
    """The cache folder cannot be read or written."""


class PackageError(TilecastError):
    """A package cannot be written, or is damaged."""


class IllegalScheduleError(TilecastError):
    """A schedule step would break a dependence, or does not apply."""


class BrokenDependenceError(IllegalScheduleError):
    """A schedule runs `sink` before or together with `source`, on which it depends.

    Both are (statement, values of its dims). `axis` is the loop that does so, None for a sequence
    of loops or statements.
    """

    def __init__(
        self,
        message: str,
        source: tuple[str, tuple[int, ...]],
        sink: tuple[str, tuple[int, ...]],
        axis: str | None,
    ) -> None:
        super().__init__(message)
        self.source, self.sink, self.axis = source, sink, axis


class LoweringError(TilecastError):
    """A pass met IR that it has no rule for."""


class PassError(LoweringError):
    """`pass_name` (or "import", "emit") raised what nobody expected: a defect of tilecast."""

    def __init__(self, message: str, pass_name: str = "") -> None:
        super().__init__(message)
        self.pass_name = pass_name


class SymbolicSizeError(LoweringError):
    """A size that is known only when the program runs is used in a way that needs its value."""


class VerifyFailure(TilecastError):
    """Compiled results differ from the reference by more than the bound."""


class KernelError(TilecastError):
    """A @tilecast.kernel function uses what the kernel language does not have."""
