"""Training of the coder of label maps: `python -m semcom.train.label_map RECIPE` (docs/training.md)."""
