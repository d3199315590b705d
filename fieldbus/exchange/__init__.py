"""The native exchange with devices: a plan of transactions, made by Python, carried out without it."""
