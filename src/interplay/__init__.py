"""The simulated shop: services, clients and messages on a simulated clock."""
