"""What replicas of a server, and workers of one machine, know in common about the clients they serve.

No replica owns a session: its record is in the shared store, and each replica that meets the session keeps a view of it.
What one replica has to tell the others goes to a log they all read, in order and without gaps; what is meant for one of
them, to its inbox. `shared` says what a store does, `memory` and `redis` do it, `exchange` talks.
"""
