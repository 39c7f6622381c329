"""sparft_plugin over slime's two documented hooks; written against its signatures, not run.

``--data-source-path sparft_plugin.hosts.slime.PickSource`` and
``--rollout-all-samples-process-path sparft_plugin.hosts.slime.feedback``.
"""

from sparft_plugin.hosts.slime.feedback import feedback
from sparft_plugin.hosts.slime.source import PickSource

__all__ = ["PickSource", "feedback"]
