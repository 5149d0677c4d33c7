"""A weight format of your own: five values, spread as the weights of this model are.

Any list of numbers is a codebook; packing, quantizers, decoding in vector registers and what
verification expects follow from it. Run it: `python -m examples.custom_format`.
"""

from __future__ import annotations

import tilecast
import torch
from torch import nn

LEVELS = (-1.0, -0.35, 0.0, 0.35, 1.0)  # Lloyd's levels of a normal distribution, in scale units


def main() -> None:
    """Quantize to the codebook and to 3-bit integers, and compare what the outputs lose."""
    torch.manual_seed(0)
    tilecast.register_codebook("five", LEVELS)
    model = nn.Sequential(nn.Linear(256, 256), nn.GELU(), nn.Linear(256, 64)).eval()
    x = torch.randn(32, 256)
    expected = model(x)
    for spec in ("five:g32", "i3:g32"):
        fast = tilecast.compile(model, (x,), weights=spec)
        loss = (fast(x) - expected).norm() / expected.norm()
        print(
            f"{spec}: outputs differ by {loss:.1%} of their norm; verified: {fast.verify().passed}"
        )


if __name__ == "__main__":
    main()
