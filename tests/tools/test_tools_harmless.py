"""Text that is made harmless to show."""

from __future__ import annotations

import pytest

from tools.harmless import neutralise, redact_url


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql+psycopg://u:p@db/daytwo", "postgresql+psycopg://***@db/daytwo"),
        (
            "postgresql+psycopg://db/daytwo?user=u&password=p&x=1",
            "postgresql+psycopg://db/daytwo?user=u&password=***&x=1",
        ),
        ("host=db password=p user=u", "host=db password=*** user=u"),
        ("no http://u:a@b@h/x here, and http://v:w@i", "no http://***@h/x here, and http://***@i"),
        ("http://h:8000/v1#org/m@r", "http://h:8000/v1#org/m@r"),
        ("http://h/v1?token=t#m", "http://h/v1?token=***#m"),
        ("export DAYTWO_MODEL_KEY=KEY; mail me@there", "export DAYTWO_MODEL_KEY=KEY; mail me@there"),
    ],
)
def test_urls_lose_their_secrets(text: str, shown: str) -> None:
    assert redact_url(text) == shown


def test_what_steers_a_terminal_is_replaced() -> None:
    steering = [
        chr(n)
        for n in (
            *range(9),
            *range(11, 32),
            *range(127, 160),
            0x200E,
            *range(0x202A, 0x202F),
            *range(0x2066, 0x206A),
            0x2028,
            0xFEFF,
        )
    ]
    assert {neutralise(c) for c in steering} == {"\ufffd"}
    assert neutralise("a\tb\u00a0c\nd é 日本 ✖") == "a b c\nd é 日本 ✖"
    assert neutralise("\ud800") == "\ufffd"
