"""Paper-ready figures from stored results: curves, image panels, paired differences."""
