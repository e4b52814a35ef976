"""What services write: fabric manager, systemd about GPU units, Slurm.

Known: fabric manager 450 to 580, systemd 219 to 256, Slurm 18.08 to 24.11.
"""

from __future__ import annotations

import re

from tools.parsers._patterns import Fields, Pattern, on_job, on_node


def _refine_node(fields: Fields) -> Fields | None:
    return {**fields, "node": re.split(r"[,\s]", fields["nodes"])[0]} if "[" not in fields["nodes"] else fields


def _refine_unit(fields: Fields) -> Fields | None:
    unit = fields["unit"]
    if "fabric" in unit.lower():
        return {**fields, "code": "fabric:down"}
    if "persistence" in unit.lower():
        return {**fields, "code": "driver:persistence_failed"}
    return {**fields, "code": "slurm:error"} if unit.startswith(("slurm", "munge")) else fields


_FABRIC = (
    Pattern(
        "fabric:down",
        ("any supported system topology", "aborting fabric manager"),
        r"(?P<reason>detected number of NVSwitches don't match.*|aborting fabric manager.*)",
        on_node,
    ),
    Pattern(
        "fabric:not_needed",
        ("NV_WARN_NOTHING_TO_DO",),
        r"(?P<reason>\S* ?\[?NV_WARN_NOTHING_TO_DO\]?)",
        on_node,
        joins=20,
    ),
    Pattern(
        "fabric:version_mismatch",
        ("don't match with driver version", "doesn't match with driver version"),
        r"(?i:fabric ?manager).*?(?P<reason>version \S+ do(?:n't|esn't) match with driver version \S+)",
        on_node,
    ),
    Pattern(
        "fabric:down",
        ("nv-fabricmanager",),
        r"(?P<reason>nv-fabricmanager .*failed! Exit code: \d+)",
        on_node,
        echoes=("fabric:not_needed", "fabric:down"),
    ),
    Pattern(
        "fabric:suspected",
        ("configuration error in the Fabric Manager or NVSwitches", "Failed to bind NVLink SHARP"),
        r"(?P<reason>system or configuration error in the Fabric Manager or NVSwitches"
        r"|Failed to bind NVLink SHARP \(NVLS\) Multicast memory.*)",
        on_node,
        joins=20,
    ),
    Pattern(
        "fabric:error",
        ("emory reference", "export ref for UUID", "import response from node"),
        r"\[ERROR\] (?:\[tid \d+\] )?(?P<reason>Failed to (?:get|allocate) (?:new )?memory reference.*"
        r"|Failed to get export ref .*|Received import response .*failure.*)",
        on_node,
        joins=20,
    ),
    Pattern(
        "fabric:error",
        ("[ERROR] [tid", "[FATAL] [tid", "[CRITICAL] [tid"),
        r"\[(?P<level>ERROR|FATAL|CRITICAL)\] \[tid \d+\] (?!.*NV_WARN_NOTHING_TO_DO)(?P<reason>.*)",
        on_node,
    ),
    Pattern(
        "service:failed",
        (".service: ",),
        (
            r"\b(?P<unit>(?:nvidia|slurm|munge|dcgm|kubelet|containerd|docker|opensm"
            r"|nv-hostengine)[\w@-]*)\.service: (?P<reason>(?:Main process exited, code=(?:exited"
            r"|killed|dumped), status=(?!0/)\S+|Failed with result.*|Start request repeated too "
            r"quickly.*|Unit entered failed state.*|Control process exited, code=(?:exited|killed|dumped), "
            r"status=(?!0/)\S+))"
        ),
        on_node,
        refine=_refine_unit,
        joins=4,
        echoes=("fabric:not_needed",),
    ),
    Pattern(
        "service:failed",
        ("Failed to start ",),
        r"Failed to start (?P<unit>.*?(?i:fabric ?manager|persistence|slurm|munge|dcgm).*?)\.?$",
        on_node,
        refine=_refine_unit,
        joins=4,
        echoes=("fabric:not_needed",),
    ),
)

_SLURM_SETUP = (
    r"(?<=error: )(?:Security violation.*|Do you have SlurmUser configured.*|.*cgroup controller is not available.*"
    r"|Controller \w+ is not enabled!|Could(?:n't| not) (?:load|find)(?: the)? specified plugin.*"
    r"|cgroup namespace .* not mounted\. aborting|slurmd initialization failed|.*Parsing error at unrecognized key.*"
    r"|Unable to establish co\w+.*|Unable to determine this slurmd's NodeName.*|.*[Pp]rotocol authentication error.*"
    r"|.*Incompatible versions of client and server.*|.*Zero Bytes were transmitted or received.*)"
)
"""What keeps a daemon of Slurm from starting or from being believed: users, plugins, control groups, versions."""

_SLURM = (
    Pattern(
        "slurm:gpu_missing",
        ("count reported lower than configured", "gres.conf file /dev/nvidia", "gpu count"),
        (
            r"(?P<reason>gres/gpu count reported lower than configured \((?P<found>\d+) < "
            r"(?P<expected>\d+)\)|can't stat gres\.conf file (?P<path>/dev/nvidia\S*).*|Waiting for "
            r"gres\.conf file (?P<path2>/dev/nvidia\S*).*)"
        ),
        on_node,
    ),
    Pattern(
        "slurm:node_down",
        (
            "setting DOWN",
            "setting state DOWN",
            "not resp",
            "Not responding",
            "ot responding",
            "state set to DOWN",
            "state set to DRAIN",
            "state to DRAIN",
            "state to DOWN",
        ),
        (
            r"(?:error: )?(?:update_node: )?[Nn]odes? (?P<nodes>[\w.,\[\]-]+) (?P<reason>not resp\w*"
            r"(?:, setting (?:state )?DOWN)?|reason set to: .*|(?:not responding|unexpectedly "
            r"rebooted).*)|[Ss]etting node (?P<nodes2>\S+) (?:state )?to (?P<reason2>(?:DOWN|DRAIN).*)"
        ),
        on_node,
        refine=lambda f: _refine_node(
            {**f, "nodes": f.get("nodes") or f.get("nodes2", ""), "reason": f.get("reason") or f.get("reason2", "")}
        ),
    ),
    Pattern(
        "slurm:node_down",
        ("DUE TO NODE FAILURE", "Node failure on", "node failure on"),
        (
            r"(?:JOB|STEP) (?P<job>\d+)(?:\.\w+)? ON (?P<node>\S+) CANCELLED AT \S+ DUE TO (?P<reason>NODE FAILURE)"
            r"|(?P<reason2>[Nn]ode failure on (?P<nodes>[\w.,\[\]-]+).*)"
        ),
        on_node,
        refine=lambda f: _refine_node(f) if f.get("nodes") else f,
    ),
    Pattern(
        "job:cancelled",
        ("CANCELLED AT", "DUE TO TIME LIMIT"),
        (
            r"\*\*\* (?:JOB|STEP) (?P<job>\d+)(?:\.(?P<step>\w+))?(?: ON (?P<node>\S+))? CANCELLED (?:AT )?"
            r"(?P<at>\S+)(?: DUE TO (?P<reason>.*?))? \*\*\*|(?P<reason2>DUE TO TIME LIMIT)"
        ),
        on_job,
    ),
    Pattern(
        "job:cancelled",
        ("Force Terminated job", ": Terminated"),
        (
            r"srun: (?:(?P<reason>Force Terminated) job (?P<job>\d+)|error: (?P<node>[\w.-]+): tasks? [\d,\[\]-]+: "
            r"(?P<reason2>Terminated))"
        ),
        on_job,
        joins=40,
    ),
    Pattern(
        "job:cancelled",
        (
            "srun: Job step aborted",
            "srun: Terminating job step",
            "srun: First task exited",
            "srun: launch/slurm",
            "has been revoked",
        ),
        (
            r"salloc: .*has been revoked|srun: (?:Job step aborted|Terminating job step|First task exited"
            r"|launch/slurm: _step_signal)"
        ),
        on_job,
        refine=lambda _: None,  # what follows of an end that another line tells
    ),
    Pattern(
        "job:precondition",
        ("Batch job submission failed", "Unable to allocate resources", "Unable to create step", "Invalid account"),
        r"(?P<reason>(?:Batch job submission failed|Unable to allocate resources|Unable to create step for job).*)",
        on_job,
    ),
    Pattern(
        "slurm:unkillable",
        ("NOT ENDING WITH SIGNALS", "ill task failed"),
        r"(?P<reason>JOB NOT ENDING WITH SIGNALS|[Kk]ill task failed)",
        on_node,
        joins=20,
    ),
    Pattern(
        "job:requeued",
        ("equeu",),
        r"(?P<reason>\b[Rr]equeu(?:e|ed|ing)(?: job| batch job)? (?:JobId=)?(?P<job>\d+)\b(?!.*of node).*)",
        on_job,
        joins=4,
    ),
    Pattern(
        "slurm:node_down",
        ("on failed node", "due to failure of node", "DUE TO NODE FAILURE", "NODE_FAIL", "node failure"),
        (
            r"(?P<reason>(?:[Kk]illing|[Rr]equeu\w*)(?: job)? (?:JobId=)?(?P<job>\d+).*(?:on failed node|due to "
            r"failure of node) "
            r"(?P<nodes>\S+)|CANCELLED AT \S+ DUE TO NODE FAILURE.*|\bNODE_FAIL\b)"
        ),
        on_node,
        refine=lambda f: _refine_node({**f, "nodes": f.get("nodes", "").rstrip(",.")}) if f.get("nodes") else f,
    ),
    Pattern(
        "slurm:config_differs",
        (
            "different slurm.conf",
            "low real_memory",
            "low socket",
            "invalid Gres",
            "low gres",
            "Invalid Protocol",
            "differs from hardware",
        ),
        r"(?P<reason>configuration differs from hardware.*|appears to have a different slurm\.conf.*"
        r"|has low (?:real_memory|socket\S*|gres\S*).*|invalid "
        r"Gres.*)",
        on_node,
    ),
    Pattern(
        "slurm:error",
        (
            "rolog error",
            "rolog failed",
            "Prolog hung",
            "rolog failure",
            "launch failed requeued",
            "low real_memory",
            "fatal: ",
            "Unable to register",
            "nable to contact slurm controller",
            "Munge decode failed",
            "Munge encode failed",
            "pyxis: ",
            "ealthCheck",
            "ealth check",
            "Security violation",
            "SlurmUser configured",
            "cgroup controller is not available",
            "is not enabled!",
            "specified plugin",
            "not mounted. aborting",
            "initialization failed",
            "unrecognized key",
            "Unable to process configuration",
            "Unable to establish co",
            "Unable to determine this slurmd",
            "rotocol authentication error",
            "Incompatible versions",
            "Zero Bytes were transmitted",
        ),
        (
            r"(?P<reason>"
            r"(?:[Ee]pi|[Pp])rolog (?:error|failed|failure|hung).*|launch failed requeued.*|has low "
            r"(?:real_memory|socket\S*) .*|(?:slurmd|slurmctld|slurmstepd)\S*: fatal: .*|error: pyxis: (?!\s).*"
            r"|(?:slurm\w*\S*|error): (?:error: )?Unable to register.*|[Uu]nable to contact slurm controller.*"
            r"|.*drain\w* node.*[Pp]rolog.*"
            r"|Munge (?:decode|encode) failed.*|slurm\w* error: Unable to contact.*"
            r"|.*(?:[Ss]lurm|\b[Nn]odes? |NHC|nhc|HealthCheckProgram|error: ).*[Hh]ealth ?[Cc]heck.*"
            r"(?:failed|timed out).*"
            r"|[Hh]ealth ?[Cc]heck ?(?:Program|script).*(?:failed|timed out).*"
            rf"|{_SLURM_SETUP})"
        ),
        on_node,
        joins=20,
    ),
    Pattern(
        "job:killed",
        (": Killed",),
        r"srun: error: (?P<node>[\w.-]+): tasks? (?P<task>[\d,\[\]-]+): (?P<reason>Killed)",
        on_job,
        echoes=("job:cancelled",),
    ),
    Pattern(
        "job:killed",
        ("srun: error:", "slurmstepd: error:"),
        (
            r"srun: error: (?P<node>[\w.-]+): tasks? (?P<task>[\d,\[\]-]+): (?P<reason>Bus "
            r"error.*|Segmentation fault.*|Aborted.*|Out Of Memory)"
        ),
        on_job,
    ),
    Pattern(
        "job:failed",
        ("Exited with exit code",),
        (r"srun: error: (?P<node>[\w.-]+): tasks? (?P<task>[\d,\[\]-]+): Exited with exit code " r"(?P<exitcode>\d+)"),
        on_job,
    ),
)

PATTERNS: tuple[Pattern, ...] = (*_FABRIC, *_SLURM)
