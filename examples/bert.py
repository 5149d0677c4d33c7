"""A two-layer BERT encoder from `transformers`, randomly initialized."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel


class Encoder(nn.Module):
    """Token ids and attention mask in; last hidden state and pooled output out."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.bert = BertModel(config)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        output = self.bert(input_ids=input_ids, attention_mask=attention_mask)
        return output.last_hidden_state, output.pooler_output


def model() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """Two layers of width 128; a batch of 2 x 32 tokens, the second row padded."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=1000,
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=512,
        max_position_embeddings=64,
    )
    ids = torch.randint(0, 1000, (2, 32))
    mask = torch.ones(2, 32, dtype=torch.int64)
    mask[1, 20:] = 0
    return Encoder(config).eval(), (ids, mask)
