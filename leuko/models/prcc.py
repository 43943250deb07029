"""The autoencoder of kidney tumour tissue: 134,691 parameters."""

from __future__ import annotations

from torch import Tensor, nn

LATENT_CHANNELS = 128
REDUCTION = 8
"""An image's side over its latent's."""


def _down(in_channels: int, out_channels: int) -> nn.Sequential:
    # ReLU and max pooling may change places, see `wbc.conv_block`.
    convolution = nn.Conv2d(in_channels, out_channels, 3, padding=1)
    return nn.Sequential(convolution, nn.MaxPool2d(2), nn.ReLU(inplace=True))


class PrccAutoencoder(nn.Module):
    """Three convolutions down to a latent of 128 channels at an eighth of the side, three transposed ones back."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(_down(3, 32), _down(32, 64), _down(64, LATENT_CHANNELS))
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(LATENT_CHANNELS, 64, 2, stride=2),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(64, 32, 2, stride=2),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(32, 3, 2, stride=2),
            nn.Sigmoid(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Encode and decode.

        Args:
            images: shape (image, 3, side, side), values 0 to 1; the side a multiple of 8.

        Returns:
            Reconstructions of the same shape, values 0 to 1.
        """
        reconstructions: Tensor = self.decoder(self.encoder(images))
        return reconstructions
