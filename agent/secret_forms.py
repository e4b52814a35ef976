"""What a secret looks like: the vendors' forms of detect-secrets, and those of this trade that it does not know.

Forms by entropy are left out: a kernel log is full of hexadecimal words that are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from detect_secrets.plugins import (
    artifactory,
    aws,
    azure_storage_key,
    discord,
    github_token,
    gitlab_token,
    jwt,
    mailchimp,
    npm,
    openai,
    pypi_token,
    sendgrid,
    slack,
    square_oauth,
    stripe,
    telegram_token,
    twilio,
)

_DETECTORS = (
    artifactory.ArtifactoryDetector, aws.AWSKeyDetector, azure_storage_key.AzureStorageKeyDetector,
    discord.DiscordBotTokenDetector, github_token.GitHubTokenDetector, gitlab_token.GitLabTokenDetector,
    jwt.JwtTokenDetector, mailchimp.MailchimpDetector, npm.NpmDetector, openai.OpenAIDetector,
    pypi_token.PypiTokenDetector, sendgrid.SendGridDetector, slack.SlackDetector, square_oauth.SquareOAuthDetector,
    stripe.StripeDetector, telegram_token.TelegramBotTokenDetector, twilio.TwilioKeyDetector,
)  # fmt: skip

_NAMED = (
    r"(?:\b|_|-)(?:pass(?:word|wd|phrase)?|pwd(?!=/)|secret|token|api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key"
    r"|account[_-]?key|credentials?|community|psk|otp)(?:[_-]?(?:id|key|value))?"
)
_OWN = (
    r"\bhf_[A-Za-z0-9]{30,}",  # Hugging Face
    r"\bnvapi-[\w-]{40,}",  # NVIDIA NGC
    r"\bsk-(?:proj-|ant-|or-)?[\w-]{20,}",
    r"\bAIza[\w-]{35}",
    r"\bglpat-[\w-]{20}|\bglsa_\w{30,}|\bdop_v1_\w{60,}",
    r"\bgh[pousr]_[A-Za-z0-9]{36,}|\bgithub_pat_\w{40,}",
    r"\bxox[abposr]-[\w-]{10,}",
    r"(?i)\b(?:authorization|proxy-authorization)[\"']?\s*[:=]\s*[\"']?(?:bearer|basic|token|digest)\s+(?P<secret>[^\s\"',;]{6,})",
    r"(?i)\bbearer\s+(?P<secret>[A-Za-z0-9._~+/=-]{16,})",
    r"(?<=://)[^\s/:@]{0,64}:(?P<secret>[^\s@]{1,128})@",
    rf"(?i){_NAMED}[\"']?\s*(?:=>|[:=])\s*(?P<quote>[\"'])(?P<secret>(?:(?!(?P=quote)).){{4,}})(?P=quote)",
    rf"(?i){_NAMED}[\"']?\s*(?:=>|[:=])\s*(?P<secret>(?![\"'<$*]|none\b|null\b|true\b|false\b|yes\b|no\b)[^\s,;&]{{5,}}[^\s,;&\"')}}\]])",
    rf"(?i)--?{_NAMED}\s+(?P<secret>(?!-)[^\s\"',;]{{6,}})",
    r"(?i)\bcurl\b[^|;]*?\s-u\s+[^\s:]+:(?P<secret>\S+)",
    r"\bipmitool\b[^|;]*?\s-P\s+(?P<secret>\S+)",
    r"(?i)\bsshpass\s+-p\s*(?P<secret>\S+)",
    r"(?i)\b(?:wandb|WANDB)\w*\W+(?P<secret>[0-9a-f]{40})\b",
    r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.+?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
)  # fmt: skip


@cache
def load_forms() -> tuple[re.Pattern[str], ...]:
    """Compile all forms; a group ``secret`` is what is hidden, else the whole match."""
    known = tuple(form for detector in _DETECTORS for form in detector.denylist)
    return tuple(re.compile(form) for form in _OWN) + known


def find_secrets(text: str) -> Iterator[str]:
    """Find every secret in a text; one may be found more than once, and within another."""
    for form in load_forms():
        for match in form.finditer(text):
            yield match["secret"] if "secret" in form.groupindex else match[0]
