"""The player's shop with messages: orders go to a topic, and from there to a queue and to a log."""

from interplay import Constant, Exponential, Simulation, consumer
from interplay.actions import commit, commit_offset, put, send, step
from interplay.search import search


def orders(state, event):
    """Commits an order and publishes it."""
    if event["kind"] != "order":
        return step(state)
    placed = {"kind": "order placed", "number": event["number"]}
    number = event["number"]
    return step(
        state, commit(("orders", number, "placed")), put("placed", placed, key=f"customer {number % 20}")
    )


def mail(stored, message):
    """Every fiftieth address is invalid, for ever."""
    return "invalid" if message["number"] % 50 == 0 else [("mails", message["number"], "sent")]


def analyse(state, event):
    return step(state, commit_offset(event) if event["kind"] == "records" else None)


def messages(load=20, readers=2, crash=True, seed=7):
    shop = Simulation(seed=seed, delay=Constant(0.05))
    shop.process("orders", orders, workers=4, time=Exponential(0.02))
    placed = shop.topic("placed")
    queue = shop.queue("mail", visibility=4.0, dead_letters="to look at")
    queue.subscribe(
        shop.process("notifications", consumer(mail), workers=2, time=Exponential(0.07)), prefetch=4
    )
    shop.queue("to look at")
    facts = shop.log("facts", partitions=4)
    facts.group("analytics", session=3.0)
    for n in range(readers):
        reader = shop.process(f"analytics {n + 1}", analyse, time=Exponential(0.06))
        facts.subscribe(reader, group="analytics", batch=3)
    placed.subscribe(queue)
    placed.subscribe(facts)

    def buy(request):
        shop.post(request, "orders", {"kind": "order", "number": request.number})
        return
        yield

    shop.users(buy, rate=load)
    if crash:
        shop.fault("crash", "notifications", start=8, end=12)
        shop.fault("crash", "analytics 2", start=15, end=22)
    return shop


def forgets(state, event):
    """Tells payments before it commits: a crash in between, and nobody knows of the order."""
    if event["kind"] != "order":
        return step(state)
    number = event["number"]
    return step(
        state, send("payments", {"kind": "charge", "number": number}), commit(("orders", number, "placed"))
    )


def charges(state, event):
    if event["kind"] != "charge":
        return step(state)
    return step(state, commit(("charged", event["number"], 10)))


def dual_write():
    shop = Simulation(seed=1, delay=Constant(0.001))
    shop.process("orders", forgets)
    shop.process("payments", charges)

    def buy(request):
        shop.post(request, "orders", {"kind": "order", "number": request.number})
        return
        yield

    shop.arrive(buy)
    return shop


def balanced(shop):
    orders, charged = (shop.parts[name].stored for name in ("orders", "payments"))
    missing = charged.get("charged", {}).keys() - orders.get("orders", {}).keys()
    return f"charged without an order: {sorted(missing)}" if missing else None


def find():
    """The shortest schedule after which somebody has paid for an order that nobody knows of."""
    return search(dual_write, balanced, until=5)
