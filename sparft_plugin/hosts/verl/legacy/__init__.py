"""verl's older trainers: 0.7, 0.8, and 0.9 with ``trainer.use_v1=False``."""
