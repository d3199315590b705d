"""Strings that are categories, as indices: `categories` is the way, `lists` what is known, then `reading`, `rewriting`."""
