"""Networks unrolled over training clips as at inference, differentiable through time."""
