"""sparft_plugin over TRL's online trainers: ``with_sparft(GRPOTrainer)(..., sparft=NAME)``."""

from sparft_plugin.hosts.trl.trainer import with_sparft

__all__ = ["with_sparft"]
