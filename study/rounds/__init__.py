"""Rounds: members learn from the pseudo-labels of the videos at hand, and run again beside those
that they come from."""
