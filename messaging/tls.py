"""Which servers are trusted where an address begins with https."""

import ssl
from functools import cache

import httpx


@cache
def trusted() -> ssl.SSLContext:
    """For all clients of a process: each would read all certificates anew, and that takes a while."""
    return httpx.create_ssl_context(trust_env=False)
