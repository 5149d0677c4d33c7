"""A causal language model with weights of few bits: decoding and prefill next to llama.cpp."""
