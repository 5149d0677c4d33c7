"""torch.export programs in, `graph` IR out."""
