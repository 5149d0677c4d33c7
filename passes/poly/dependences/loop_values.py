"""Loop values as isl expressions, and how they order the instances of two statements."""

from __future__ import annotations

from collections.abc import Mapping

from ....dialects.errors import IllegalScheduleError
from ..sets import IslMap, PwAff, dim_aff, isl


class LoopValues:
    """Parses the loop values of the statements of one scop, whose numbers of dims are `ranks`."""

    def __init__(self, ranks: Mapping[str, int]) -> None:
        self.ranks = ranks
        self._affs: dict[tuple[str, str], PwAff] = {}

    def aff(self, statement: str, text: str) -> PwAff:
        """`text` over the dims of `statement`; IllegalScheduleError unless it has an integer value
        in every instance."""
        key = (statement, text)
        if key not in self._affs:
            self._affs[key] = self._parse(statement, text)
        return self._affs[key]

    def _parse(self, statement: str, text: str) -> PwAff:
        rank = self.ranks[statement]
        try:
            aff = dim_aff(statement, rank, text)
        except isl.Error:
            raise IllegalScheduleError(
                f"loop value {text!r} of {statement}: expected a quasi-affine expression of "
                f"{', '.join(f'i{d}' for d in range(rank)) or 'constants'}"
            ) from None
        denominators: list[int] = []
        aff.foreach_piece(
            lambda _, piece: denominators.append(piece.get_denominator_val().to_python())
        )
        if max(denominators) > 1 or not aff.domain().complement().is_empty():
            raise IllegalScheduleError(
                f"loop value {text!r} of {statement} is not an integer in every instance; "
                "write quotients as floor(x/n)"
            )
        return aff


class LoopOrder:
    """Which instances of `source` a loop runs before, with and after which of `sink`."""

    def __init__(self, before: PwAff, after: PwAff) -> None:
        self._before, self._after = before, after
        self._same: IslMap | None = None
        self._later: IslMap | None = None

    @property
    def same(self) -> IslMap:
        """Pairs of instances in one iteration."""
        if self._same is None:
            self._same = self._before.eq_map(self._after)
        return self._same

    @property
    def later(self) -> IslMap:
        """Pairs whose source runs in a later iteration than the sink."""
        if self._later is None:
            self._later = self._before.gt_map(self._after)
        return self._later

    @property
    def earlier(self) -> IslMap:
        """Pairs whose source runs in an earlier iteration than the sink."""
        return self._before.lt_map(self._after)
