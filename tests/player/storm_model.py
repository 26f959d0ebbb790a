"""The shop of the player's tests: web -> orders -> inventory, an outage, and retries that keep it down."""

from interplay import Constant, Exponential, FullJitter, Retry, RetryBudget, Simulation


def storm(load=20, attempts=4, budget=0.0, jitter="none", seed=7):
    shop = Simulation(seed=seed, delay=Constant(0.05))
    inventory = shop.service("inventory", workers=3, time=Exponential(0.1))
    retry = Retry(
        attempts,
        backoff=FullJitter(0.2, 2.0) if jitter == "full" else None,
        budget=RetryBudget(budget) if budget else None,
    )
    orders = shop.service(
        "orders", workers=200, time=Constant(0.005), calls=lambda call: to_inventory.call(call)
    )
    to_inventory = shop.client(inventory, caller=orders, deadline=1.0, retry=retry)
    to_orders = shop.client(orders, deadline=10.0)

    def buy(request):
        return (yield from to_orders.call(request))

    shop.users(buy, rate=load)
    shop.fault("outage", inventory, start=15, end=20)
    return shop


def outage(shop, at):
    shop.fault("outage", "inventory", start=at, end=at + 5)
