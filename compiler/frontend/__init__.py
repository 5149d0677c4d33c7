"""torch.export programs in (`export`), `graph` IR out (`program`)."""
