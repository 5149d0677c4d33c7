"""Sentence embeddings: MiniLM for 1 to 8 sentences of 4 to 64 tokens, compiled once.

Run it: `python -m examples.embed_sentences`.
"""

from __future__ import annotations

import tilecast
import torch

from examples.minilm import SentenceEncoder, tokenize

SENTENCES = (
    "The cat sleeps on the warm windowsill.",
    "A kitten is napping in the sun.",
    "Interest rates were raised again.",
)


def main() -> None:
    """Compile, embed, and show which sentences are close."""
    sizes = "batch=1..8, seq=4..64"
    shapes = f"input_ids: {sizes}; attention_mask: {sizes}"
    model, example = SentenceEncoder().eval(), tokenize(SENTENCES[:2], 32)
    fast = tilecast.compile(model, example, dynamic_shapes=shapes)
    vectors = fast(*tokenize(SENTENCES, 16))
    alone = fast(*tokenize(SENTENCES[:1], 24))
    torch.testing.assert_close(alone[0], vectors[0], rtol=1e-4, atol=1e-5)
    similarity = vectors @ vectors.T
    print(similarity)
    assert similarity[0, 1] > similarity[0, 2]


if __name__ == "__main__":
    main()
