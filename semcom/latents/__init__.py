"""Latents of an autoencoder as they cross a link: what transmitters and receivers of latents agree on."""
