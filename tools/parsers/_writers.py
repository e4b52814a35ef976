"""Lines that a program wrote, whatever stands in them: what their own form tells of their writer.

Known: logfmt (logrus, go-kit, slog), JSON lines of zap, zerolog, pino and structlog, `kubectl logs --prefix`,
`docker compose logs`, Python's logging and Log4j behind an ISO time.
"""

from __future__ import annotations

import re

_LEVEL = r"(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|ERR|FATAL|CRITICAL|trace|debug|info|warn|warning|error|fatal)"
_OF_KERNEL = r"(?:INFO|WARNING): (?:task \S+:\d+ |rcu|CPU: |possible |suspicious |at )"
"""The kernel begins some of its own lines with a level, as many programs do."""
_PROGRAM = re.compile(
    r"^(?:\[pod/[^\]]+\]|[\w.-]{1,64}\s+\| )"
    r"|^(?:time|ts|t|level|lvl|logger|caller|msg)=(?:\"[^\"]*\"|\S+) .*?\b\w+="
    rf"|^\d{{4}}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d)?\s+(?:\[?{_LEVEL}\b|\[\w[\w.-]*\] {_LEVEL}\b)"
    rf"|^(?!{_OF_KERNEL}){_LEVEL}(?:: +|\[\d+\] |:[\w.]+:)"
    r"|^\{.*\"(?:level|lvl|severity|stream|logger|kubernetes|container_name|container_id)\"\s*:"
)
_PAIRS = re.compile(r"\b(?:level|lvl|severity)=\"?\w+\"? .*?\bmsg=")
_SEARCHED_CHARACTERS = 2000


def is_program_line(text: str) -> bool:
    """Say whether a line is by its form a program's: what it says of the kernel is then that program's word."""
    start = text[:_SEARCHED_CHARACTERS]
    return bool(_PROGRAM.match(start) or ("msg=" in start and _PAIRS.search(start)))
