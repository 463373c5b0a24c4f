"""Networks, and the loader of pinned weights. Nothing here knows channels, links or scenarios."""
