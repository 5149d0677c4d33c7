"""Arrays of a kernel in a tile program: views by loops, tiles of what does not vary with all."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Attribute, SSAValue

from ...dialects.tile import ops
from ...dialects.tile.atoms import F32
from ...dialects.tile.register_layout import RegisterLayout
from ...dialects.tile.types import GlobalType, PointerType
from .access import Access, memref_element
from .builder import Index, ProgramBuilder, fixed_grid
from .scalar_body import NARROW


def argument_names(arrays: Sequence[SSAValue], taken: Sequence[str] = ()) -> dict[SSAValue, str]:
    """A name for each array, none twice, none of those `taken`."""
    names: dict[SSAValue, str] = {}
    for array in arrays:
        base = array.name_hint or "array"
        name, k = base, 1
        while name in taken or name in names.values():
            k += 1
            name = f"{base}_{k}"
        names[array] = name
    return names


class KernelBuilder:
    """A program whose arguments are `arrays`, accessed by loops of `extents`, and `others`."""

    def __init__(
        self,
        name: str,
        threads: int,
        blocks: tuple[int, int, int],
        arrays: Sequence[SSAValue],
        extents: Sequence[int],
        others: Sequence[tuple[str, Attribute]] = (),
    ) -> None:
        self.names = argument_names(arrays, [name for name, _ in others])
        self.extents = tuple(extents)
        grid = fixed_grid(*blocks)
        arguments: list[tuple[str, Attribute]] = [
            (self.names[a], PointerType(memref_element(a))) for a in arrays
        ]
        self.b = ProgramBuilder(name, threads, grid, [*arguments, *others])

    def view(self, access: Access, *groups: Sequence[int]) -> SSAValue:
        """The array of `access` with a dim per group of loops."""
        dims = [access.digits(group, self.extents) for group in groups]
        type = GlobalType.strided(dims, access.element, access.start)
        name = self.names[access.array]
        return self.b.add(ops.ViewGlobalOp(self.b.argument(name), [], type), f"{name}_view")

    def load(
        self,
        access: Access,
        lead: Sequence[tuple[Sequence[int], Index]],
        groups: tuple[Sequence[int], Sequence[int]],
        places: tuple[Index, Index],
        layout: RegisterLayout,
    ) -> SSAValue:
        """A tile at `places` of two groups of loops, behind those of `lead`; narrow floats widened.

        A dim that the array does not vary with has extent 1.
        """
        at = list(places)
        for dim, dims in enumerate(groups):
            if not access.varies(dims):
                layout, at[dim] = layout.reduce(dim), 0
        view = self.view(access, *(dims for dims, _ in lead), *groups)
        name = self.names[access.array]
        tile = self.b.load(view, (*(place for _, place in lead), *at), layout, name)
        return self.b.cast(tile, F32, name) if access.element in NARROW else tile

    def spread(self, tile: SSAValue, layout: RegisterLayout) -> SSAValue:
        """`tile` with dims of extent 1 repeated until it lies as `layout`."""
        shape = ops.tile_of(tile).extents
        missing = [d for d in range(layout.rank) if shape[d] == 1 and layout.shape[d] > 1]
        for dim in missing[::-1]:
            target = layout
            for other in missing[: missing.index(dim)]:
                target = target.reduce(other)
            tile = self.b.broadcast(tile, target, dim, layout.shape[dim], tile.name_hint or "every")
        return tile
