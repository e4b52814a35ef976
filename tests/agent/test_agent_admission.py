"""How many are looked at at once: by the server's own numbers, the gravest first, and nobody waits for ever."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from agent.admission import (
    AGING_SECONDS,
    CALM_SECONDS,
    LOOK_SECONDS,
    TOO_LATE,
    Admission,
    Load,
    NotAdmittedError,
    build_admission,
)
from agent.backends.load import find_load, parse_load
from agent.stopping import Stop
from evals.busy import BusyServer
from evals.scripted import ScriptedServer


class Server:
    """Numbers as a server tells them, and a clock that a test moves."""

    def __init__(self) -> None:
        self.load: Load | None = Load()
        self.now = 0.0

    def read(self) -> Load | None:
        return self.load

    def clock(self) -> float:
        return self.now


@pytest.fixture
def server():
    return Server()


def look(admission: Admission, server: Server, load: Load | None, *, times: int = 1, waiting: int = 100) -> int:
    """Let it read numbers while many wait."""
    server.load = load
    for _ in range(times):
        server.now += LOOK_SECONDS
        admission._line = [object()] * waiting  # type: ignore[list-item]
        admission._look()
        admission._line = []
    return admission.standing.limit


def test_it_grows_fast_until_the_server_says_enough_and_by_one_from_then_on(server):
    door = Admission(64, 1, server.read, clock=server.clock)
    assert [look(door, server, Load(cache_share=0.1)) for _ in range(4)] == [2, 4, 8, 16]
    assert look(door, server, Load(cache_share=0.75), times=3) == 16, "the cache fills"
    assert look(door, server, Load(cache_share=0.3, waiting=2), times=3) == 16, "requests wait"
    assert [look(door, server, Load(cache_share=0.3)) for _ in range(2)] == [17, 18]


def test_it_does_not_grow_beyond_what_the_cache_holds_at_the_present_use(server):
    door = Admission(64, 1, server.read, clock=server.clock)
    assert look(door, server, Load(running=2, cache_share=0.3), times=9) == 4, "six fit, two are of others"


def test_a_preemption_halves_it_and_it_stays_there_for_a_while(server):
    door = Admission(64, 1, server.read, clock=server.clock)
    look(door, server, Load(preemptions=7), times=4)
    assert look(door, server, Load(preemptions=8)) == 8
    calm = int(CALM_SECONDS / LOOK_SECONDS) - 1
    assert look(door, server, Load(preemptions=8), times=calm) == 8
    assert look(door, server, Load(preemptions=8), times=2) > 8
    assert door.standing.preemptions == 1


def test_preemptions_of_before_and_a_restart_are_none_of_ours(server):
    door = Admission(64, 1, server.read, clock=server.clock)
    assert look(door, server, Load(preemptions=500)) == 2
    assert look(door, server, Load(preemptions=0)) == 4


def test_it_never_falls_below_one_nor_grows_beyond_its_bound(server):
    door = Admission(5, 1, server.read, clock=server.clock)
    assert look(door, server, Load(), times=9) == 5
    for count in range(1, 9):
        look(door, server, Load(preemptions=count))
    assert door.standing.limit == 1
    assert look(door, server, Load(cache_share=0.97, preemptions=8), times=9) == 1


def test_nobody_waits_so_it_does_not_grow(server):
    door = Admission(64, 1, server.read, clock=server.clock)
    assert look(door, server, Load(), times=9, waiting=0) == 1


def test_a_server_that_falls_silent_is_given_no_more_than_was_proven(server):
    door = Admission(64, 1, server.read, clock=server.clock)
    look(door, server, Load(), times=4)
    assert look(door, server, None) == 1


@pytest.mark.parametrize(
    ("in_flight", "concurrency", "metrics", "most", "first"),
    [
        (None, None, False, 1, 1),
        (None, 8, False, 8, 8),
        (3, 8, False, 3, 3),
        (12, 8, False, 8, 8),
        (None, None, True, 16, 1),
        (4, None, True, 4, 1),
        (None, 8, True, 8, 1),
    ],
)
def test_what_bounds_it(in_flight, concurrency, metrics, most, first):
    door = build_admission(in_flight, concurrency, Load if metrics else None)
    assert (door.most, door.standing.limit) == (most, first)


def enter_in_order(door: Admission, ranks: list[int]) -> list[int]:
    """Let several wait behind one who is inside; the order in which they come in."""
    order: list[int] = []

    def wait_for(rank: int) -> None:
        with door.enter(rank, stop=Stop(), seconds=20):
            order.append(rank)

    with ThreadPoolExecutor(len(ranks)) as pool, door.enter(3, stop=Stop(), seconds=1):
        for place, rank in enumerate(ranks, 1):
            pool.submit(wait_for, rank)
            while door.standing.waiting < place:
                time.sleep(0.005)
    return order


def test_the_gravest_comes_first():
    assert enter_in_order(Admission(1, 1, None), [1, 3, 0, 2]) == [3, 2, 1, 0]


def test_who_has_waited_long_is_overtaken_by_nobody(server):
    door = Admission(1, 1, None, clock=server.clock)
    order: list[str] = []

    def wait_for(name: str, rank: int) -> None:
        with door.enter(rank, stop=Stop(), seconds=1e6):
            order.append(name)

    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(8))
        with door.enter(3, stop=Stop(), seconds=1):
            pool.submit(wait_for, "old", 0)
            while door.standing.waiting < 1:
                time.sleep(0.005)
            server.now += 3 * AGING_SECONDS + 1
            for place in range(2, 6):
                pool.submit(wait_for, "new", 3)
                while door.standing.waiting < place:
                    time.sleep(0.005)
    assert order == ["old", "new", "new", "new", "new"]


def test_no_more_than_the_limit_are_ever_inside():
    door, most, inside = Admission(3, 3, None), [0], [0]
    lock = threading.Lock()

    def work() -> None:
        with door.enter(1, stop=Stop(), seconds=20):
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            with lock:
                inside[0] -= 1

    with ThreadPoolExecutor(12) as pool:
        for done in [pool.submit(work) for _ in range(24)]:
            done.result()
    assert most[0] == 3
    assert (door.standing.inside, door.standing.waiting) == (0, 0)


def test_a_stop_ends_the_wait_at_once_and_leaves_nobody_in_the_line():
    door, stop = Admission(1, 1, None), Stop()
    with door.enter(3, stop=Stop(), seconds=1), ThreadPoolExecutor(1) as pool:

        def wait_for() -> str:
            with pytest.raises(NotAdmittedError) as caught, door.enter(3, stop=stop, seconds=60):
                pass
            return str(caught.value)

        waits = pool.submit(wait_for)
        while not door.standing.waiting:
            time.sleep(0.005)
        started = time.monotonic()
        stop.say("gone")
        assert waits.result(5) == "gone"
        assert time.monotonic() - started < 1.0
        assert door.standing.waiting == 0


def test_a_turn_that_does_not_come_in_time_is_told():
    door = Admission(1, 1, None)
    with (
        door.enter(3, stop=Stop(), seconds=1),
        pytest.raises(NotAdmittedError, match=TOO_LATE[:20]),
        door.enter(3, stop=Stop(), seconds=0.2),
    ):
        pass
    assert door.standing.waiting == 0


def test_an_error_inside_gives_the_place_back():
    door = Admission(1, 1, None)
    with pytest.raises(ZeroDivisionError), door.enter(3, stop=Stop(), seconds=1):
        raise ZeroDivisionError
    assert door.standing.inside == 0


@pytest.mark.parametrize("names", ["new", "old"])
def test_both_names_of_the_cache_are_read_from_a_real_socket(names):
    with BusyServer(names=names, holds=4) as server:
        server.others, server.waiting, server.preemptions = 3, 2, 9
        read = find_load(server.url)
        assert read is not None
        assert read() == Load(running=3.0, waiting=2.0, cache_share=0.75, preemptions=9.0)


def test_a_server_without_numbers_has_none():
    with BusyServer(names="none") as server:
        assert find_load(server.url) is None
    with ScriptedServer("refuse") as server:
        assert find_load(server.url) is None


def test_engines_of_one_server_are_added_and_the_fullest_counts():
    page = "".join(
        f'vllm:{name}{{engine="{engine}",model_name="m"}} {value}\n'
        for name, values in (
            ("num_requests_running", (3, 4)),
            ("num_requests_waiting", (0, 1)),
            ("kv_cache_usage_perc", (0.2, 0.9)),
            ("gpu_cache_usage_perc", (0.2, 0.9)),
            ("num_preemptions_total", (5, 6)),
        )
        for engine, value in enumerate(values)
    )
    assert parse_load(page) == Load(7.0, 1.0, 0.9, 11.0)


@pytest.mark.parametrize("page", ["", "<html></html>", "python_info 1\n", "vllm:num_requests_running{ 3\n"])
def test_what_is_no_such_page_tells_nothing(page):
    assert parse_load(page) is None


def test_llama_cpp_and_sglang_are_read_too():
    assert parse_load("llamacpp:requests_processing 1\nllamacpp:requests_deferred 2\n") == Load(1.0, 2.0)
    assert parse_load("sglang:num_running_reqs 3\nsglang:token_usage 0.5\n") == Load(3.0, 0.0, 0.5)
