"""Fine-tuning: clips, augmentation, unrolling through memory, losses, and the trainer."""
