"""Generated variations of tables: order of columns, columns of a newer version, widths, decimals, prompts; values stay right."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.document import TextDocument
from tools.parsers import disk_activity, filesystems, infiniband, iostat, network, smartctl

VALUES = {
    "r/s": 180.0,
    "w/s": 220.0,
    "rkB/s": 23040.0,
    "wkB/s": 51200.0,
    "r_await": 88.1,
    "w_await": 95.4,
    "aqu-sz": 38.2,
    "%util": 99.6,
}
SIGNALS = {
    "r/s": ("disk_reads_per_second", 1.0), "wkB/s": ("disk_write_bytes_per_second", 1024.0),
    "w_await": ("disk_write_await_seconds", 1e-3), "aqu-sz": ("disk_queue_length", 1.0), "%util": ("disk_utilization_ratio", 0.01),
}  # fmt: skip
NEW = {"n/s": 7.0, "n_await": 1.25, "%new": 3.0}


def read(parser, text):
    return parser.parse(TextDocument("t", "n1", text))


def make_table(order, *, width, comma, device="sdb", last=False):
    cells = {**VALUES, **NEW}
    head = [f"{name:>{width}}" for name in order]
    row = [f"{cells[name]:>{width}.2f}" for name in order]
    name, value = f"{'Device':<12}", f"{device:<12}"
    lines = [
        " ".join([*head, " Device"] if last else [name, *head]),
        " ".join([*row, f" {device}"] if last else [value, *row]),
    ]
    text = "\n".join(lines)
    return text.replace(".", ",") if comma else text


@settings(max_examples=60, deadline=None)
@given(
    order=st.permutations([*VALUES]), extra=st.lists(st.sampled_from([*NEW]), max_size=2, unique=True),
    place=st.integers(1, 7), width=st.integers(1, 12), comma=st.booleans(), last=st.booleans(),
)  # fmt: skip
def test_columns_of_iostat_are_found_by_name(order, extra, place, width, comma, last):
    order = [*order[:place], *extra, *order[place:]]
    report = make_table(order, width=width, comma=comma, last=last)
    text = f"Linux 6.5.0 (hv07) \t11/20/2025 \t_x86_64_\t(64 CPU)\n\n{report}\n\n{report}\n"
    assert iostat.recognise(text.splitlines()) >= 0.9
    (window,) = read(iostat, text).facts.windows
    for column, (signal, factor) in SIGNALS.items():
        assert window.latest(0, signal) == pytest.approx(VALUES[column] * factor)


SAR = {"tps": 400.0, "rkB/s": 23040.0, "wkB/s": 51200.0, "areq-sz": 185.6, "aqu-sz": 38.2, "await": 92.1, "%util": 99.6}


@settings(max_examples=40, deadline=None)
@given(order=st.permutations([*SAR]), first=st.booleans(), half=st.booleans(), comma=st.booleans())
def test_columns_of_sar_are_found_by_name(order, first, half, comma):
    stamp = "04:30:01 PM" if half else "16:30:01"
    names = ["DEV", *order] if first else [*order, "DEV"]
    cells = [f"{SAR[name]:.2f}" for name in order]
    cells = ["sda", *cells] if first else [*cells, "sda"]
    row = f"{stamp}  {'  '.join(cells)}"
    text = f"Linux 6.5.0 (hv07) \t11/20/2025 \t_x86_64_\t(64 CPU)\n\n{stamp}  {'  '.join(names)}\n{row.replace('.', ',') if comma else row}\n"
    (window,) = read(disk_activity, text).facts.windows
    assert window.latest(0, "disk_utilization_ratio") == pytest.approx(0.996)
    assert window.latest(0, "disk_read_await_seconds") == pytest.approx(0.0921)


@settings(max_examples=40, deadline=None)
@given(
    use=st.integers(0, 100),
    kind=st.booleans(),
    width=st.integers(1, 30),
    mount=st.sampled_from(["/", "/var/lib x", "/scratch"]),
)
def test_only_a_full_file_system_is_an_event(use, kind, width, mount):
    head = f"{'Filesystem':<{width}} {'Type ' if kind else ''}1K-blocks Used Available Use% Mounted on"
    row = f"{'/dev/sda2':<{width}} {'ext4 ' if kind else ''}1000 {use * 10} {1000 - use * 10} {use}% {mount}"
    codes = [event.code for event in read(filesystems, f"{head}\n{row}\n").facts.events]
    assert codes == (["limit:disk_space"] if use == 100 else [])


@settings(max_examples=40, deadline=None)
@given(
    number=st.integers(0, 10**6),
    kind=st.sampled_from(
        [
            (5, "Reallocated_Sector_Ct", "disk_reallocated_sectors_total"),
            (197, "Current_Pending_Sector", "disk_media_errors_total"),
            (199, "UDMA_CRC_Error_Count", "disk_crc_errors_total"),
        ]
    ),
    brief=st.booleans(),
)
def test_raw_values_of_attributes_are_read_in_both_layouts(number, kind, brief):
    code, name, signal = kind
    row = (
        f"{code:>3} {name:<23} PO--CK   100   100   010    -    {number}"
        if brief
        else f"{code:>3} {name:<23} 0x0033   100   100   010    Pre-fail  Always       -       {number}"
    )
    text = f"smartctl 7.3 2022-02-28 r5338 [x86_64-linux] (local build)\n\nSerial Number:    Z1\n{row}\n"
    (window,) = read(smartctl, text).facts.windows
    assert window.latest(0, signal) == number


@settings(max_examples=40, deadline=None)
@given(
    first=st.integers(0, 10**6),
    rise=st.integers(0, 10**6),
    seconds=st.integers(10, 600),
    prompt=st.sampled_from(["$ ", "[root@n1 ~]# ", "root@n1:~# "]),
)
def test_counters_read_twice_carry_their_times(first, rise, seconds, prompt):
    one, two = (
        f"# Port counters: Lid 3 port 1 (CapMask: 0x5A00)\nSymbolErrorCounter:..............{count}\nPortRcvErrors:...................0\n"
        for count in (first, first + rise)
    )
    (window,) = read(infiniband, f"{prompt}perfquery 3 1; sleep {seconds}; perfquery 3 1\n{one}{two}").facts.windows
    assert list(window.values["nic_symbol_errors_total"][0]) == [first, first + rise]
    assert window.times[1] - window.times[0] == seconds


@settings(max_examples=30, deadline=None)
@given(errors=st.integers(0, 10**9), packets=st.integers(1, 10**12), margin=st.integers(0, 6))
def test_proc_net_dev_is_read_however_it_is_aligned(errors, packets, margin):
    text = (
        "Inter-|   Receive                                                |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n"
        f"{' ' * margin}ens1np0:{packets * 100} {packets} {errors} 0 0 0 0 0 1 2 3 0 0 0 0 0\n"
    )
    (window,) = read(network, text).facts.windows
    assert window.latest(0, "nic_receive_errors_total") == errors
    assert window.latest(0, "nic_receive_packets_total") == packets


HEADS = {
    "iostat": (iostat, "Device            r/s     w/s     rkB/s     wkB/s r_await w_await aqu-sz  %util\n"),
    "sar": (
        disk_activity,
        "16:20:01          DEV       tps     rkB/s     wkB/s   areq-sz    aqu-sz     await     %util\n",
    ),
    "df": (filesystems, "Filesystem     1K-blocks      Used Available Use% Mounted on\n"),
    "net": (network, "Inter-|   Receive      |  Transmit\n face |bytes    packets errs drop|bytes packets\n"),
    "perfquery": (infiniband, "# Port counters: Lid 37 port 1 (CapMask: 0x5A00)\n"),
}


@pytest.mark.parametrize("form", HEADS)
def test_a_head_alone_makes_nothing_healthy(form):
    from test_tools_forms import judge

    parser, head = HEADS[form]
    assert parser.recognise(head.splitlines()) >= 0.6
    assert judge(head) == "unknown"
