"""Networks that tasks are taken of: small configurations of many architectures, random weights.

Widths, lengths and batches differ, so that kernels do; weights do not matter to run times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

Made = tuple[nn.Module, tuple[Tensor, ...]]


@dataclass(frozen=True)
class Network:
    """One configuration; `family` is the architecture, which a split keeps together."""

    family: str
    label: str
    make: Callable[[], Made]


class First(nn.Module):
    """The first result of a model of `transformers`."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.inner(x)[0]
        return found


# architecture -> names of its configuration's fields: width, layers, heads, inner width.
TEXT: dict[str, tuple[str, str, str, str | None]] = {
    "bert": ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    "gpt2": ("n_embd", "n_layer", "n_head", "n_inner"),
    "roberta": ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    "albert": ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    "electra": ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    "distilbert": ("dim", "n_layers", "n_heads", "hidden_dim"),
    "llama": ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    "mistral": ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    "qwen2": ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    "gemma": ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    "phi": ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    "gpt_neox": ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"),
    "opt": ("hidden_size", "num_hidden_layers", "num_attention_heads", "ffn_dim"),
    "bloom": ("hidden_size", "n_layer", "n_head", None),
}
SIZES = ((1, 128, 768, 12), (2, 64, 256, 4), (1, 128, 384, 6), (4, 32, 512, 8), (1, 1, 512, 8))
IMAGE: dict[str, tuple[dict[str, Any], ...]] = {
    "vit": (
        {"hidden_size": 192, "num_hidden_layers": 1, "num_attention_heads": 3},
        {"hidden_size": 96, "num_hidden_layers": 1, "num_attention_heads": 4},
    ),
    "deit": ({"hidden_size": 256, "num_hidden_layers": 1, "num_attention_heads": 4},),
    "resnet": (
        {"embedding_size": 16, "hidden_sizes": [32, 64, 128, 160], "depths": [1, 1, 1, 1]},
        {"embedding_size": 32, "hidden_sizes": [64, 96], "depths": [1, 1], "layer_type": "basic"},
    ),
    "mobilenet_v2": ({"depth_multiplier": 0.5},),
    "mobilenet_v1": ({"depth_multiplier": 0.5},),
    "regnet": ({"embedding_size": 16, "hidden_sizes": [32, 64], "depths": [1, 1]},),
    "convnext": ({"hidden_sizes": [32, 64], "depths": [1, 1], "num_stages": 2},),
    "poolformer": ({"hidden_sizes": [32, 64, 128, 160], "depths": [1, 1, 1, 1]},),
}


def networks() -> Iterator[Network]:
    """All configurations, small sizes of all architectures first."""
    for k, (batch, tokens, width, heads) in enumerate(SIZES):
        for family, names in TEXT.items():
            make = partial(text_network, family, names, batch, tokens, width, heads)
            yield Network(family, f"{family}-{k}", make)
        yield from plain_networks(k)
    for family, configurations in IMAGE.items():
        for k, fields in enumerate(configurations):
            size = (128, 96)[k % 2]
            make = partial(image_network, family, fields, size)
            yield Network(family, f"{family}-{k}", make)


def text_network(
    family: str,
    names: tuple[str, str, str, str | None],
    batch: int,
    tokens: int,
    width: int,
    heads: int,
) -> Made:
    """One layer of a transformer over token ids."""
    from transformers import AutoConfig, AutoModel

    width_name, layers, heads_name, inner = names
    fields: dict[str, Any] = {width_name: width, layers: 1, heads_name: heads, "vocab_size": 500}
    if inner is not None:
        fields[inner] = 4 * width
    if family in ("llama", "mistral", "qwen2", "gemma"):
        fields |= {"num_key_value_heads": heads // 2, "head_dim": width // heads}
    if family == "opt":
        fields["word_embed_proj_dim"] = width
    if family in ("albert", "electra"):
        fields["embedding_size"] = width
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, use_cache=False, pad_token_id=0, **fields)
    model = AutoModel.from_config(config, attn_implementation="sdpa")
    return First(model).eval(), (torch.randint(1, 500, (batch, tokens)),)


def image_network(family: str, fields: dict[str, Any], size: int) -> Made:
    """A network over one square image."""
    from transformers import AutoConfig, AutoModel

    extra = {"image_size": size, "patch_size": 16} if family in ("vit", "deit") else {}
    if family in ("vit", "deit"):
        extra["intermediate_size"] = 4 * fields["hidden_size"]
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **fields, **extra)
    return First(AutoModel.from_config(config)).eval(), (torch.randn(1, 3, size, size),)


class Recurrent(nn.Module):
    """The outputs of an LSTM."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, units, batch_first=True)
        self.head = nn.Linear(units, 10)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.lstm(x)[0])
        return found


def plain_networks(k: int) -> Iterator[Network]:
    """Networks of plain layers, wider with growing k."""
    width = 64 + 96 * k
    torch.manual_seed(0)
    mlp = nn.Sequential(
        *(nn.Linear(3 * width, 2 * width), nn.GELU(), nn.LayerNorm(2 * width)),
        *(nn.Linear(2 * width, 10 + k), nn.Softmax(-1)),
    )
    rows = (3, 17, 64, 200, 33)[k]
    yield Network("mlp", f"mlp-{k}", lambda: (mlp.eval(), (torch.randn(rows, 3 * width),)))
    channels = (8, 16, 24, 32, 48)[k]
    convs = nn.Sequential(
        *(nn.Conv2d(3, channels, 3, 2, 1), nn.BatchNorm2d(channels), nn.ReLU()),
        *(nn.Conv2d(channels, 2 * channels, 3, 1, 1), nn.SiLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(2 * channels, 2 * channels, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1)),
        *(nn.Flatten(), nn.Linear(2 * channels, 12)),
    )
    size = (40, 56, 64, 48, 32)[k]
    yield Network(
        "convnet", f"convnet-{k}", lambda: (convs.eval(), (torch.randn(1, 3, size, size),))
    )
    recurrent = Recurrent(width, width)
    yield Network("lstm", f"lstm-{k}", lambda: (recurrent.eval(), (torch.randn(2, 16, width),)))


POINTWISE: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda x: torch.softmax(x, -1) * x.mean(0),
    lambda x: torch.nn.functional.layer_norm(x.transpose(0, 1) * 2, (x.shape[0],)),
    lambda x: torch.exp(-x.abs()).sum(0) + x.amax(0),
    lambda x: torch.sigmoid(x) * torch.tanh(x.flip(0)) + x.var(-1, keepdim=True),
    lambda x: (x.transpose(0, 1).contiguous() + 1).log1p().cumsum(0),
    lambda x: torch.cat([x * 2, x.relu(), x.sqrt().nan_to_num()], -1),
)
SHAPES = ((64, 96), (500, 33), (1000, 128), (128, 1024), (1500, 400))


class Function(nn.Module):
    """A function as a network."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def functions() -> Iterator[Network]:
    """Memory-bound functions at several shapes; each function is a family."""
    for f, function in enumerate(POINTWISE):
        for k, shape in enumerate(SHAPES):
            made = Function(function), (torch.randn(*shape),)
            yield Network(f"function{f}", f"function{f}-{k}", partial(lambda m: m, made))
