"""An image classifier: ResNet-18 (random weights) as a package that anything can link.

Run it: `python -m examples.classify_image`.
"""

from __future__ import annotations

import tempfile

import tilecast
import torch

from examples import resnet18


def main() -> None:
    """Compile, save, load again, and compare the best five classes with PyTorch."""
    model, (image,) = resnet18.model()
    fast = tilecast.compile(model, (image,), name="classifier")
    with tempfile.TemporaryDirectory() as folder:
        loaded = tilecast.load(fast.save(folder + "/classifier"))
        found = loaded(image).topk(5).indices
    with torch.no_grad():
        expected = model(image).topk(5).indices
    print("classes:", found.tolist())
    assert torch.equal(found, expected)


if __name__ == "__main__":
    main()
