"""mkdocs hook: a line `<!-- ir: STAGE -->` becomes the IR of a small model after that stage.

It is compiled while the site is built, so pages show what the compiler does today.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import tilecast
import torch

PLACE = re.compile(r"<!-- ir: (\w+) -->")
WIDTH = 140


@cache
def ir_after(stage: str) -> str:
    """The IR, or the C after "emit", of relu(Linear) for AVX2 and one thread."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(32, 16), torch.nn.ReLU()).eval()
    options: dict[str, Any] = {"target": "x86-64-v3", "threads": 1, "stop_after": stage}
    found: Any = tilecast.compile(model, (torch.randn(4, 32),), **options)
    text = "\n".join(found.values()) if stage == "emit" else str(found)
    return text.replace("\\0A", "\n        ")  # line ends inside of strings


def block(stage: str) -> str:
    """The IR between fences, long lines cut."""
    lines = ir_after(stage).splitlines()
    lines = [line if len(line) <= WIDTH else f"{line[: WIDTH - 4]} ..." for line in lines]
    language = "c" if stage == "emit" else "mlir"
    return "\n".join([f"```{language}", *lines, "```"])


def on_page_markdown(markdown: str, **_: Any) -> str:
    """What mkdocs calls for every page."""
    return PLACE.sub(lambda match: block(match[1]), markdown)
