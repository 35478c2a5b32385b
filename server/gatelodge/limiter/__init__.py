"""How much a caller may do: GCRA buckets, several of them taken from together, all or none.

`quota` and `limits` hold what an operator writes, `gcra` the arithmetic, `memory` and `redis` the places where buckets
are kept, and `limiter` what happens while Redis is gone.
"""
