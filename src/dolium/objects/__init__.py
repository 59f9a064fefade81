"""The service: what the faces can ask of objects. Knows the catalog and the contract of a store, no engine,
no leaf and no HTTP. Who may ask is decided before (`identity.decide`).
"""
