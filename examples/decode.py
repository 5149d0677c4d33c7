"""Text, token by token, from a language model whose weights have 3 bits.

The model is a small GPT-2 with random weights, so the text means nothing; what counts is that the
compiled program and PyTorch with the same weights agree. Run it: `python -m examples.decode`.
"""

from __future__ import annotations

from collections.abc import Callable

import tilecast
import torch
from torch import Tensor

from examples import gpt2

WEIGHTS = "i3:g32"
LENGTH, NEW = 64, 8


def decode(logits_of: Callable[[Tensor], Tensor], prompt: Tensor) -> list[int]:
    """Tokens drawn by their probability; what stands behind the end a causal model cannot see."""
    draw = torch.Generator().manual_seed(0)
    tokens = torch.zeros(1, LENGTH, dtype=torch.int64)
    length = prompt.numel()
    tokens[0, :length] = prompt
    for at in range(length, length + NEW):
        probabilities = logits_of(tokens)[0, at - 1].softmax(-1)
        tokens[0, at] = torch.multinomial(probabilities, 1, generator=draw)
    return tokens[0, length : length + NEW].tolist()


def main() -> None:
    """Compile, decode, and decode with PyTorch on the same 3-bit weights."""
    model, (tokens,) = gpt2.model(LENGTH)
    fast = tilecast.compile(model, (tokens,), weights=WEIGHTS)
    slow = tilecast.quantize(model, WEIGHTS)
    prompt = torch.tensor([3, 141, 59, 265])
    with torch.no_grad():
        found, expected = decode(fast, prompt), decode(slow, prompt)
    print("compiled:", found)
    print("eager:   ", expected)
    assert found == expected


if __name__ == "__main__":
    main()
