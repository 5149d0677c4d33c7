"""Speed of tilecast next to its peers: `python -m benchmarks.compare`."""
