"""Samplers in sigma form, as pure functions of a denoiser: none knows latents, maps or channels."""
