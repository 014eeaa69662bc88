"""Claims of speed, measured. `python -m bench` runs them all; each compares what ran in the same process, in turns."""
