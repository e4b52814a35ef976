"""Logs of GPU jobs and services: NCCL, PyTorch, CUDA, MPI, UCX, Slurm, fabric manager, vLLM, HPC RAS lines.

Known: NCCL 2.4 to 2.27, PyTorch 1.8 to 2.8, Open MPI 3 to 5, UCX 1.8 to 1.18, Slurm 18.08 to 24.11, fabric manager
450 to 580, vLLM 0.4 to 0.11. Kernel lines between them are read as well, with whoever can have written them.
"""

from __future__ import annotations

from collections.abc import Sequence

from tools.parsers._log_reader import LogReader
from tools.parsers._log_share import score_forms
from tools.types import Document, Domain, Parsed

FORM = "application_log"
DOMAIN: Domain = "application"


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is that the sample is a program's log; 0.0 where kernel or syslog lines prevail."""
    kernel, application = score_forms(sample)
    return application if application > kernel else 0.0


def parse(document: Document) -> Parsed:
    """Read events from a program's log: collectives that hung, transport errors, CUDA errors, jobs that ended.

    The job is taken from the line (``JobId=4711``), else from the file's name (``slurm-4711.out``).
    """
    return LogReader(document).read()
