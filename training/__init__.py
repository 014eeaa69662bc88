"""How the demo model was made: scenes of coloured emoji, a VAE, a text encoder and a UNet, all trained from scratch on a CPU."""
