"""The real context window: prompts that grow until one does not arrive whole, whatever the server claims."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from agent.backends.wire import parse_limit, tells_overflow
from agent.preflight.dialogue import ask_plainly, fill
from agent.preflight.endpoint import Answer, Endpoint, Question
from agent.profile import WindowProof

SMALLEST_TOKENS = 1024
CAP_TOKENS = 32 * 1024
"""Longest prompt that is tried: the agent needs no more, and each one costs its prefill."""
ANSWER_TOKENS = 16
MARGIN_TOKENS = 64
"""What the chat template may add (a guess)."""
CLOSE_TOKENS = 256
TRUNCATED_SHARE = 0.9
"""Fewer than this share of the tokens that were sent: the rest was cut (a guess; the count is exact to a few)."""
BEYOND = 1.25
MAX_ROUNDS = 4
LATE_ROUNDS = 2
"""Each one that comes too late costs a whole time-out."""


@dataclass(slots=True)
class _Search:
    """What is known so far, in tokens; a word counts as one token until the server tells otherwise."""

    salt: str
    tokens_per_word: float = 1.0
    counted: bool = False
    echoes: bool = False
    good: int = 0
    bad: int = 0
    late: bool = False
    proof: WindowProof = field(default_factory=WindowProof)


def prove_window(
    endpoint: Endpoint, *, claimed_tokens: int | None, salt: str, cap_tokens: int = CAP_TOKENS
) -> WindowProof:
    """Find the longest prompt that provably arrives whole.

    A prompt arrived whole where the server counts its tokens, or where the model repeats a word from its beginning. The
    claim of the server, and the limit that an error names, only choose what is tried next.

    Args:
        endpoint: Who is asked.
        claimed_tokens: What `/v1/models` says, or None.
        salt: Something new, so that no cache answers.
        cap_tokens: Longest prompt to try.
    """
    search = _Search(salt, proof=WindowProof(claimed_tokens=claimed_tokens))
    for size in _list_sizes(claimed_tokens, cap_tokens):
        if not _try_size(endpoint, search, size):
            break
    if not search.bad and not search.proof.note and claimed_tokens and claimed_tokens <= cap_tokens:
        _try_size(endpoint, search, int(claimed_tokens * BEYOND))
    _close_in(endpoint, search)
    reached = "not reached" if search.proof.overflow == "unknown" and search.good else search.proof.overflow
    return replace_proof(search.proof, proven_tokens=search.good or None, overflow=reached)


def replace_proof(proof: WindowProof, **changes: object) -> WindowProof:
    """The same proof with some of it changed."""
    return proof.model_copy(update=changes)


def _list_sizes(claimed_tokens: int | None, cap_tokens: int) -> Iterator[int]:
    size = SMALLEST_TOKENS
    end = min(claimed_tokens - MARGIN_TOKENS if claimed_tokens else cap_tokens, cap_tokens)
    while size < end:
        yield size
        size *= 2
    yield max(end, SMALLEST_TOKENS)


def _close_in(endpoint: Endpoint, search: _Search) -> None:
    """Halve the gap between what arrived and what did not; the limit that an error named is tried first."""
    limit = search.proof.limit_tokens
    if limit and search.good < limit - MARGIN_TOKENS < search.bad:
        _try_size(endpoint, search, limit - MARGIN_TOKENS)
    for number in range(MAX_ROUNDS):
        close = max(CLOSE_TOKENS, search.good // 20)
        if not search.bad or search.bad - search.good <= close or (search.proof.note and not search.late):
            return
        if search.late and (number == LATE_ROUNDS or not search.good):
            return
        _try_size(endpoint, search, (search.good + search.bad) // 2)


def _try_size(endpoint: Endpoint, search: _Search, size: int) -> bool:
    """Send a prompt of about so many tokens; True where it arrived whole."""
    words = int((size - ANSWER_TOKENS) / search.tokens_per_word)
    code = f"K{abs(hash_word(search.salt)) % 9000 + 1000}"
    prompt = f"The code word is {code}. {fill(words, search.salt)}\nWhat is the code word? Answer with it alone."
    answer = endpoint.ask(Question(ask_plainly(prompt), {}, ANSWER_TOKENS))
    if not answer.ok:
        return _note_refusal(search, answer, size)
    if search.good == 0 and not search.bad:
        search.counted = answer.tokens_in is not None and answer.tokens_in >= words * TRUNCATED_SHARE
        search.echoes = code in answer.text
    if search.counted:
        told = answer.tokens_in or 0
        arrived = told >= words * search.tokens_per_word * TRUNCATED_SHARE
    else:
        told, arrived = words, search.echoes and code in answer.text
    if arrived:
        # The template's own tokens weigh less in a longer prompt: each one tells how to cut the next.
        search.tokens_per_word = max(told / words, 1.0)
        search.good = max(search.good, told)
        search.proof = replace_proof(search.proof, how="usage" if search.counted else "echo")
        return True
    if not search.counted and not search.echoes:
        note = "the server counts no tokens and the model does not repeat a word: nothing can be proven"
        search.proof = replace_proof(search.proof, note=note)
        return False
    search.bad = min(search.bad or size, size)
    search.proof = replace_proof(search.proof, overflow="truncates")
    return False


def _note_refusal(search: _Search, answer: Answer, size: int) -> bool:
    if answer.status == 0 or (answer.status >= 500 and not tells_overflow(answer.message)):
        note = f"a prompt of {size:,} tokens was not answered: {answer.message}"
        search.proof = replace_proof(search.proof, note=note)
        # What the server takes and does not answer in time is too long as well: a shorter one may come in time.
        if answer.late:
            search.bad, search.late = min(search.bad or size, size), True
        return False
    search.bad = min(search.bad or size, size)
    search.proof = replace_proof(
        search.proof,
        overflow="error",
        overflow_status=answer.status,
        overflow_message=answer.message,
        limit_tokens=parse_limit(answer.message) or search.proof.limit_tokens,
    )
    return False


def hash_word(text: str) -> int:
    """A number from a text, the same on every machine."""
    return sum((place + 1) * ord(letter) for place, letter in enumerate(text))
