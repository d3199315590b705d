"""OPC UA: the client link for slow tags (`link`), on asyncua; certificates on disk, which servers of ours use too.

Only `session` and what it is made of import asyncua: who has no such link needs no such library.
"""
