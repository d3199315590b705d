"""The page of a running station. What it asks is in `static/js/api.js`."""
