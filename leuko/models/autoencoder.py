"""The autoencoder of kidney tumour tissue: 134,691 parameters."""

from __future__ import annotations

from torch import Tensor, nn

LATENT_CHANNELS = 128
REDUCTION = 8
"""An image's side over its latent's."""


def down_block(n_in: int, n_out: int) -> nn.Sequential:
    """Convolution 3 x 3, ReLU and 2 x 2 max pooling.

    Args:
        n_in: channels of the images.
        n_out: channels of the result.
    """
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2))


class PrccAutoencoder(nn.Module):
    """Three convolutions down to a latent of 128 channels at an eighth of the side, three transposed ones back."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(down_block(3, 32), down_block(32, 64), down_block(64, LATENT_CHANNELS))
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
