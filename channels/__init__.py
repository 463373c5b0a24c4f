"""The physical layer. Knows waveforms, nothing of images; stands alone on torch, numpy and Sionna."""
