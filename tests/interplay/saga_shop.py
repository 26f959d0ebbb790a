"""The same shop with its orders as a saga, by orchestration and by choreography, and as two-phase commits."""

from interplay import Constant, Simulation, choreography
from interplay.participants import WORK, imbalance, participant
from interplay.saga import BUY, Orchestrator, outcome
from interplay.trace import OK, REJECTED
from interplay.two_phase_commit import Coordinator, Voter

STOCK, MONEY = 10, 20
STORED = {"inventory": {"stock": {"book": STOCK}}, "payments": {"accounts": {"anna": MONEY}}, "shipping": {}}
DO = {"inventory": "reserve", "payments": "charge", "shipping": "ship"}


def order(number, **other):
    return {"number": number, "item": "book", "quantity": 1, "customer": "anna", "price": 10, **other}


ORDERS = (order(1), order(2, address=None), order(3))  # the second cannot be shipped; anna has money for two


def place(shop, orders=ORDERS, to="orders", deadline=50.0):
    """Each order is a user who arrives now."""
    waiting = iter(orders)

    def buy(request):
        message = {"kind": "place", "order": next(waiting), "request": request.number}
        return (yield from shop.ask(request, to, message, deadline=deadline))

    for _ in orders:
        shop.arrive(buy)
    return shop


def copied(name):
    return {table: dict(rows) for table, rows in STORED[name].items()}


def orchestrated(orders=ORDERS, seed=1, orchestrator=None, make=participant, work=WORK, **how):
    shop = Simulation(seed, delay=Constant(0.001), **how)
    shop.process("orders", orchestrator or Orchestrator())
    for name in WORK:
        shop.process(name, make(work[name]), stored=copied(name))
    return place(shop, orders)


def choreographed(orders=ORDERS, seed=1, make=choreography.reactor, **how):
    shop = Simulation(seed, delay=Constant(0.001), **how)
    shop.process("orders", choreography.initiator())
    for name in WORK:
        shop.process(name, make(name, WORK[name]), stored=copied(name))
    return place(shop, orders)


def two_phase(orders=ORDERS, seed=1, coordinator=None, voter=Voter, **how):
    shop = Simulation(seed, delay=Constant(0.001), **how)
    shop.process("orders", coordinator or Coordinator(*WORK))
    for name in WORK:
        shop.process(name, voter(WORK[name][DO[name]], name=name), stored=copied(name))
    return place(shop, orders)


def under_way(shop):
    """Orders that have not ended at every service."""
    stored = {name: part.stored for name, part in shop.parts.items()}
    mine = stored["orders"]
    open_now = {n for n, row in mine.get("sagas", {}).items() if outcome(BUY, row["log"]) is None}
    open_now |= {n for n, row in mine.get("transactions", {}).items() if row["status"] == "begun"}
    open_now |= {n for n, row in mine.get("orders", {}).items() if not row["status"]}
    return open_now.union(*(stored[name].get("prepared", ()) for name in WORK))


def judge(shop):
    """Every piece and every cent is there, users were told the truth, and everything came to an end."""
    three = [shop.parts[name].stored for name in WORK]
    for row in shop.parts["orders"].stored.get("sagas", {}).values():
        if len(dict(row["log"])) < len(row["log"]):
            return f"an answer is in the log twice: {row['log']}"
    open_now = under_way(shop)
    wrong = imbalance(*three, stock=STOCK, money=MONEY, under_way=open_now)
    if wrong:
        return wrong
    shipped = three[2].get("shipments", {})
    for number, _, _, status, _ in shop.trace.requests:
        if (status == OK) > (number in shipped) or (status == REJECTED and number in shipped):
            return f"the user of order {number} was told something else than what happened"
    return f"{sorted(open_now)} never ended" if open_now else None


def sends_first(step):
    """A planted mistake: what a STEP sends leaves before it commits."""

    def swapped(state, event):
        answer = step(state, event)
        answer["actions"].sort(key=lambda action: action["do"] == "commit")
        return answer

    return swapped
