"""Which text of a response the memory embeds."""

from __future__ import annotations

TEXTS = ("response", "reasoning", "tail", "windows")
TAGS = ("reasoning", "think")


def stored_text(response: str, stored: str) -> str:
    """Return the text of a response that stands for it in the memory.

    https://arxiv.org/abs/2504.02273 stores the whole response, its released code only the text
    between the reasoning tags.

    Parameters
    ----------
    response : str
        The whole response, as decoded.
    stored : {"response", "reasoning", "tail", "windows"}
        ``response`` returns it unchanged, and so do ``tail`` and ``windows``, which say what of it
        the encoder reads. ``reasoning`` returns what stands between ``<reasoning>``
        and ``</reasoning>``, or, without these, between ``<think>`` and ``</think>``, white space
        around it removed. Of several blocks it is the last one that is opened. A block that is
        never closed, for example at the length limit, goes to the end; one that was opened by the
        prompt, so that only ``</think>`` is seen, goes from the beginning. Without any of the tags
        the reasoning is the whole response.

    Returns
    -------
    str
        Empty for an empty block.
    """
    if stored != "reasoning":
        return response
    for tag in TAGS:
        opening, closing = f"<{tag}>", f"</{tag}>"
        if opening in response or closing in response:
            return response.rpartition(opening)[2].partition(closing)[0].strip()
    return response.strip()
