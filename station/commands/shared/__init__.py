"""What commands share: options, exit codes, how a user is told; and what is worked out for one command alone."""
