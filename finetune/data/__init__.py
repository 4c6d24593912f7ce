"""Training clips: drawn, composed, augmented, batched."""
