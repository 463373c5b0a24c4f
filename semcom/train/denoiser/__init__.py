"""What a denoiser of latents is trained on: encoded pictures and noise levels."""
