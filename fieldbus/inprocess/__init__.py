"""Links to devices that are Python functions: tests, examples, simulations."""
