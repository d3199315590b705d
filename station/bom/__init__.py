"""Bills of materials in CycloneDX 1.6: what a release is made of, what a station runs. Kept for no cycle; written by us."""
