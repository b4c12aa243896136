"""`make bench`: what the lab costs in bytes, seconds and memory, as ratios within one run."""
