"""Sentence embeddings: MiniLM for any number of tokens up to 64, compiled once.

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
    shapes = "input_ids: seq=4..64; attention_mask: seq=4..64"
    model, example = SentenceEncoder().eval(), tokenize(SENTENCES[:1], 32)
    fast = tilecast.compile(model, example, dynamic_shapes=shapes)
    vectors = torch.cat([fast(*tokenize((s,), 8 + 8 * k)) for k, s in enumerate(SENTENCES, 1)])
    similarity = vectors @ vectors.T
    print(similarity)
    assert similarity[0, 1] > similarity[0, 2]


if __name__ == "__main__":
    main()
