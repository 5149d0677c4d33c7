"""Small random models of many `transformers` architectures: two layers, odd sizes, no downloads.

`zoo(attention)` maps a name to a function that gives (module, example inputs). What tests need is
that each architecture's operators occur; sizes are such that a compilation takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Built = tuple[nn.Module, tuple[Any, ...]]
TEXT = {
    "vocab_size": 97,
    "hidden_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 72,
    "max_position_embeddings": 64,
}
GROUPED = {**TEXT, "num_key_value_heads": 2, "head_dim": 10}
LENGTH = 13


class Part(nn.Module):
    """Calls a model without a cache and returns one tensor of its result."""

    def __init__(self, model: nn.Module, field: str, *names: str, **fixed: Any) -> None:
        super().__init__()
        self.model, self.field, self.names, self.fixed = model, field, names, fixed

    def forward(self, *args: Tensor) -> Tensor:
        found = self.model(**dict(zip(self.names, args, strict=True)), **self.fixed)
        result: Tensor = getattr(found, self.field)
        return result


def ids(high: int = 97, length: int = LENGTH) -> Tensor:
    """Two rows of token numbers."""
    return torch.randint(3, high, (2, length))


def mask() -> Tensor:
    """Two rows of which the second is padded."""
    found = torch.ones(2, LENGTH, dtype=torch.int64)
    found[1, 9:] = 0
    return found


def encoder(name: str, config: dict[str, Any], attention: str) -> Built:
    """A model of token ids and a mask."""
    model = build(name, config, attention)
    return Part(model, "last_hidden_state", "input_ids", "attention_mask"), (ids(), mask())


def decoder(name: str, config: dict[str, Any], attention: str) -> Built:
    """A causal model of token ids and a mask, without a cache."""
    model = build(name, config, attention)
    part = Part(model, "logits", "input_ids", "attention_mask", use_cache=False)
    return part, (ids(), mask())


def vision(name: str, config: dict[str, Any], attention: str, size: int, field: str) -> Built:
    """A model of images."""
    model = build(name, config, attention)
    return Part(model, field, "pixel_values"), (torch.randn(1, 3, size, size),)


def build(name: str, config: dict[str, Any], attention: str) -> nn.Module:
    """The class `name` of transformers with random weights; `config` are fields of its config."""
    import transformers

    torch.manual_seed(0)
    kind = getattr(transformers, name)
    settings = kind.config_class(**config)
    if kind._supports_sdpa if hasattr(kind, "_supports_sdpa") else False:
        settings._attn_implementation = attention
    else:
        settings._attn_implementation = "eager"
    model: nn.Module = kind(settings).eval()
    return model


def t5_encoder(attention: str) -> Built:
    """The encoder of T5."""
    model = build("T5EncoderModel", T5, attention)
    return Part(model, "last_hidden_state", "input_ids", "attention_mask"), (ids(), mask())


def t5_decoder_step(attention: str) -> Built:
    """T5 with given encoder states: logits of decoder tokens."""
    model = build("T5ForConditionalGeneration", T5, attention)

    class Step(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, tokens: Tensor, states: Tensor) -> Tensor:
            found = self.model(decoder_input_ids=tokens, encoder_outputs=(states,), use_cache=False)
            logits: Tensor = found.logits
            return logits

    return Step().eval(), (ids(length=5), torch.randn(2, LENGTH, 40))


T5 = {"vocab_size": 97, "d_model": 40, "d_kv": 10, "d_ff": 72, "num_layers": 2, "num_heads": 4}
CLIP_TEXT = {**TEXT, "eos_token_id": 96, "bos_token_id": 1, "pad_token_id": 0}
CLIP_VISION = {
    "hidden_size": 40,
    "intermediate_size": 72,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 30,
    "patch_size": 10,
}
GPT2 = {"vocab_size": 97, "n_embd": 40, "n_layer": 2, "n_head": 4, "n_positions": 64}
VIT = {
    "hidden_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 72,
    "image_size": 30,
    "patch_size": 10,
}
SWIN = {"image_size": 32, "patch_size": 2, "embed_dim": 12, "depths": [2, 2], "num_heads": [2, 4]}
SWIN |= {"window_size": 4}
CONVNEXT = {"hidden_sizes": [12, 20], "depths": [1, 1], "num_stages": 2}
RESNET = {"embedding_size": 12, "hidden_sizes": [12, 24], "depths": [1, 2]}
SEGFORMER = {
    "num_encoder_blocks": 2,
    "depths": [1, 1],
    "sr_ratios": [4, 2],
    "hidden_sizes": [12, 20],
    "num_attention_heads": [1, 2],
    "patch_sizes": [7, 3],
    "strides": [4, 2],
    "mlp_ratios": [2, 2],
    "decoder_hidden_size": 16,
}
WHISPER = {
    "d_model": 40,
    "encoder_layers": 2,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 72,
    "decoder_layers": 1,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 72,
    "num_mel_bins": 20,
    "max_source_positions": 25,
    "vocab_size": 97,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
WAV2VEC = {
    "hidden_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 72,
    "conv_dim": [16, 16, 24],
    "conv_stride": [5, 2, 2],
    "conv_kernel": [10, 3, 2],
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 31,
}
DEBERTA = {
    **TEXT,
    "relative_attention": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_buckets": 8,
}
DEBERTA |= {"share_att_key": True, "norm_rel_ebd": "layer_norm", "position_biased_input": False}
NEOX = {**TEXT, "rotary_pct": 0.4}
OPT = {**TEXT, "ffn_dim": 72, "word_embed_proj_dim": 40}
MAMBA = {"vocab_size": 97, "hidden_size": 24, "num_hidden_layers": 2, "state_size": 5}
MAMBA |= {"intermediate_size": 48, "time_step_rank": 3}

TOWERS: dict[str, Callable[[str], Built]] = {
    "bert": lambda a: encoder("BertModel", TEXT, a),
    "roberta": lambda a: encoder("RobertaModel", {**TEXT, "pad_token_id": 0}, a),
    "distilbert": lambda a: encoder(
        "DistilBertModel",
        {"vocab_size": 97, "dim": 40, "n_layers": 2, "n_heads": 4, "hidden_dim": 72},
        a,
    ),
    "deberta_v2": lambda a: encoder("DebertaV2Model", DEBERTA, a),
    "gpt2": lambda a: decoder("GPT2LMHeadModel", GPT2, a),
    "gpt_neox": lambda a: decoder("GPTNeoXForCausalLM", NEOX, a),
    "opt": lambda a: decoder("OPTForCausalLM", OPT, a),
    "llama": lambda a: decoder("LlamaForCausalLM", GROUPED, a),
    "mistral": lambda a: decoder("MistralForCausalLM", {**GROUPED, "sliding_window": 8}, a),
    "qwen2": lambda a: decoder("Qwen2ForCausalLM", GROUPED, a),
    "qwen3": lambda a: decoder("Qwen3ForCausalLM", GROUPED, a),
    "gemma2": lambda a: decoder("Gemma2ForCausalLM", {**GROUPED, "sliding_window": 8}, a),
    "phi": lambda a: decoder("PhiForCausalLM", {**TEXT, "hidden_size": 48}, a),
    "t5_encoder": t5_encoder,
    "t5_decoder": t5_decoder_step,
    "vit": lambda a: vision("ViTModel", VIT, a, 30, "last_hidden_state"),
    "deit": lambda a: vision("DeiTModel", VIT, a, 30, "last_hidden_state"),
    "swin": lambda a: vision("SwinModel", SWIN, a, 32, "last_hidden_state"),
    "convnext": lambda a: vision("ConvNextModel", CONVNEXT, a, 32, "last_hidden_state"),
    "resnet": lambda a: vision("ResNetModel", RESNET, a, 33, "last_hidden_state"),
    "mobilenet_v2": lambda a: vision(
        "MobileNetV2Model", {"depth_multiplier": 0.25, "min_depth": 4}, a, 33, "last_hidden_state"
    ),
    "efficientnet": lambda a: vision(
        "EfficientNetModel",
        {"width_coefficient": 0.25, "depth_coefficient": 0.2, "hidden_dim": 320, "image_size": 33},
        a,
        33,
        "last_hidden_state",
    ),
    "segformer": lambda a: vision("SegformerForSemanticSegmentation", SEGFORMER, a, 33, "logits"),
    "clip_text": lambda a: encoder("CLIPTextModel", CLIP_TEXT, a),
    "clip_vision": lambda a: vision("CLIPVisionModel", CLIP_VISION, a, 30, "last_hidden_state"),
    "whisper_encoder": lambda a: whisper(a),
    "wav2vec2": lambda a: (
        Part(build("Wav2Vec2Model", WAV2VEC, a), "last_hidden_state", "input_values"),
        (torch.randn(2, 811),),
    ),
    "mamba": lambda a: (
        Part(build("MambaForCausalLM", MAMBA, a), "logits", "input_ids", use_cache=False),
        (ids(),),
    ),
}


def whisper(attention: str) -> Built:
    """The audio encoder of Whisper."""
    model = build("WhisperModel", WHISPER, attention)
    encoder_part = model.get_encoder() if hasattr(model, "get_encoder") else model.encoder
    return (
        Part(encoder_part, "last_hidden_state", "input_features"),
        (torch.randn(2, 20, 50),),
    )


def zoo_model(name: str, attention: str = "sdpa") -> Built:
    """The model called `name`, with attention computed by "sdpa" or "eager" operators."""
    torch.manual_seed(1)
    model, inputs = TOWERS[name](attention)
    return model.eval(), inputs
