"""The weight store: parameters, buffers and folded constants, outside the IR, by symbol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt


class WeightStore(Mapping[str, npt.NDArray[np.generic]]):
    """Symbol -> contiguous row-major array. Arrays are never modified in place."""

    def __init__(self, arrays: Mapping[str, npt.NDArray[np.generic]] | None = None) -> None:
        self._arrays: dict[str, npt.NDArray[np.generic]] = {}
        for symbol, array in (arrays or {}).items():
            self.add(symbol, array)

    def add(self, symbol: str, array: npt.NDArray[np.generic]) -> str:
        """Store `array` under `symbol`, or `symbol_1`, ... if taken; returns the name used."""
        name, serial = symbol, 0
        while name in self._arrays:
            serial += 1
            name = f"{symbol}_{serial}"
        self._arrays[name] = np.ascontiguousarray(array).reshape(array.shape)
        return name

    def remove(self, symbol: str) -> None:
        """Forget `symbol`; KeyError if absent."""
        del self._arrays[symbol]

    def __getitem__(self, symbol: str) -> npt.NDArray[np.generic]:
        return self._arrays[symbol]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)
