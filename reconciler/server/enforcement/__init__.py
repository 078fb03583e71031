"""Policies at work: events are evaluated, decided and recorded; violations alert, and people settle them."""
