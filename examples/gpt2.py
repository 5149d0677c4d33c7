"""A two-layer causal GPT-2 from `transformers`, randomly initialized."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel


class LanguageModel(nn.Module):
    """Token ids in, next-token logits out; no key/value cache."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.gpt2 = GPT2LMHeadModel(config)

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.gpt2(input_ids=input_ids, use_cache=False).logits


def model(sequence: int = 64) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Two layers of width 128 and one row of `sequence` tokens."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=1000, n_positions=128, n_embd=128, n_layer=2, n_head=4, use_cache=False
    )
    return LanguageModel(config).eval(), (torch.randint(0, 1000, (1, sequence)),)


def single_token() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """The same network on one token."""
    return model(sequence=1)
