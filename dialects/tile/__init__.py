"""Thread-block programs for GPUs: register and shared layouts, tile types and ops."""
