"""What network adapters and links print, in the order in which it is tried: the firmware first, a mere complaint last.

Known: Linux 3.10 (RHEL 7) to 6.14, MLNX_OFED 4.9 to 24.10; systemd 219 to 256.
"""

from __future__ import annotations

from tools.parsers import (
    _address_patterns,
    _link_patterns,
    _nic_driver_patterns,
    _nic_mellanox_patterns,
    _switch_patterns,
    _wifi_patterns,
)
from tools.parsers._patterns import Pattern

PATTERNS: tuple[Pattern, ...] = (
    *_wifi_patterns.PATTERNS,
    *_nic_mellanox_patterns.PATTERNS,
    *_nic_driver_patterns.PATTERNS,
    *_switch_patterns.PATTERNS,
    *_link_patterns.PATTERNS,
    *_nic_driver_patterns.LAST,
    *_address_patterns.PATTERNS,
)
