"""What a denoiser of latents is trained on: encoded pictures, noise levels, maps as a receiver may have them."""
