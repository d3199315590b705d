"""Golden files: models that PyTorch and scikit-learn exported, with the frameworks' own outputs, and what makes them."""
