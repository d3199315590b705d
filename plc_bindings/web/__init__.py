"""What servers of HTTP share: a thread of their own, connections, who is let in. Needs aiohttp, so only they import it."""
