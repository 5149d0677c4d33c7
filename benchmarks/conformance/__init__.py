"""torch's own operator samples (OpInfo) through tilecast: which operators compile and are right."""
