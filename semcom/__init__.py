"""Generative semantic communication, compared honestly with bit recovery over simulated radio channels."""
