"""What commands share: options, how a user is told; and what is worked out for one command alone."""
