"""The parts of the scheduler by themselves: queues, workers, deaths, the ledger of videos."""

from ensemble.scheduling.death_log import DeathLog
from ensemble.scheduling.demand import Demand
from ensemble.scheduling.ledger import Ledger
from ensemble.scheduling.limits import RunLimits
from ensemble.scheduling.messages import FINISH, Capacity, GiveUp, MemberSpec, Pair, Retry, Shape
from ensemble.scheduling.pools import Item, Pool, Quarantine
from ensemble.scheduling.workers import Workforce
from stseg.failures import FailureKind

LIMITS = RunLimits()


def pool(name="a", **spec):
    return Pool(MemberSpec(name, **spec), LIMITS, Quarantine())


def test_a_pool_gives_the_longest_first_and_quarantined_items_last():
    queue = pool()
    for sequence, units in enumerate((1.0, 3.0, 2.0)):
        queue.add(Item(sequence, queue, f"v{units:g}", units))
    worn = Item(9, queue, "worn", 9.0)
    worn.quarantined = True
    queue.add(worn)
    assert [queue.take().video for _ in range(4)] == ["v3", "v2", "v1", "worn"]
    assert queue.take() is None
    assert (queue.queued, queue.running) == (0, 4)


def test_deadlines_follow_what_was_measured():
    queue = pool()
    assert queue.deadline(100.0) == LIMITS.first_deadline
    queue.measure(units=10.0, seconds=20.0)
    assert queue.deadline(100.0) == LIMITS.deadline_factor * 200.0
    assert queue.deadline(0.1) == LIMITS.deadline_floor


def test_a_core_is_kept_for_finishing_where_only_gpus_work():
    gpu = pool("g", num_cpus=1.0, num_gpus=1.0)
    workers = Workforce(Shape(1.0), Quarantine())
    workers.capacity = Capacity(0.0, Shape(cpus=2.0, gpus=2.0))
    assert workers.has_room(gpu.shape)
    first = workers.hire(gpu, 0.0)
    assert not workers.has_room(gpu.shape), "the second core is for finishing"
    assert workers.has_room(Shape(1.0))
    workers.dismiss(first)
    assert workers.has_room(gpu.shape)


def test_deaths_speak_for_an_item_only_if_others_died_of_another_cause():
    log = DeathLog(LIMITS)
    queue = pool()
    mine, other = Item(0, queue, "x", 1.0), Item(1, queue, "y", 1.0)
    log.add(100.0, mine, proven=True)
    assert not log.speaks_for(mine, 100.0), "it died alone"
    log.add(100.2, other, proven=True)
    assert log.speaks_for(mine, 100.0)
    assert not log.speaks_for(mine, 100.0 + 2 * LIMITS.blame_window)


def ledger(*pairs):
    told = []
    pools = {name: Pool(MemberSpec(name), LIMITS, Quarantine()) for name in ("a", "b", FINISH)}
    book = Ledger(pools, LIMITS, told.append)
    book.enqueue(pairs, done=[("b", "x")])
    return book, pools, told


def test_a_video_is_finished_when_its_last_pair_is_settled():
    book, pools, told = ledger(Pair("a", "x", 1.0), Pair("a", "y", 1.0))
    items = {item.video: item for item in (pools["a"].take(), pools["a"].take())}
    assert pools[FINISH].waiting == 0
    book.done(items["x"], 1.0)
    assert pools[FINISH].take().video == "x"
    assert book.members("x") == ("a", "b")
    book.give_up(items["y"], FailureKind.INPUT, "a frame is damaged")
    assert [(act.member, act.category) for act in told] == [
        ("a", FailureKind.INPUT),
        (FINISH, FailureKind.PAIRS),
    ]


def test_an_error_is_tried_again_within_its_budget():
    book, pools, told = ledger(Pair("a", "x", 1.0))
    for _ in range(LIMITS.errors):
        item = pools["a"].take()
        pools["a"].leave(item)
        book.raised(item, "it cannot be done", now=0.0)
        book.release(now=1e6)
    assert [type(act) for act in told] == [Retry] * (LIMITS.errors - 1) + [GiveUp]


def test_demand_goes_to_the_member_with_most_work_and_ends_with_it():
    book, pools, _ = ledger(Pair("a", "x", 1.0), Pair("b", "x", 3.0), Pair("b", "y", 3.0))
    workers = Workforce(Shape(), Quarantine())
    demand = Demand([*pools.values()], workers, book)
    assert demand.to_start(now=0.0) is None, "no room is known"
    workers.capacity = Capacity(0.0, Shape(cpus=1))
    assert demand.to_start(now=0.0) is pools["b"]
    assert demand.work_for(Shape())
    worker = workers.hire(pools["b"], now=0.0)
    workers.up(worker, now=0.0)
    workers.loaded(worker)
    assert demand.to_start(now=0.0) is None, "the one core is taken"
    assert not demand.is_surplus(Shape(), now=0.0)
    while item := pools["b"].take() or pools["a"].take() or pools[FINISH].take():
        item.pool.leave(item)
        book.done(item, 1.0)
    assert not demand.work_for(Shape())
    assert demand.is_surplus(Shape(), now=0.0)
