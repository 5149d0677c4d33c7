"""Computing tensors again instead of keeping them, chosen together with patches (Moccasin)."""
