"""The autoencoder of kidney tumour tissue: 134,691 parameters."""

from __future__ import annotations

from torch import Tensor, nn

from leuko.models.fast import conv3x3

LATENT_CHANNELS = 128
REDUCTION = 8
"""An image's side over its latent's."""


class Down(nn.Sequential):
    """Convolution 3 x 3, ReLU and 2 x 2 max pooling.

    The bias and ReLU follow the pooling: neither changes the order of values, and there is a quarter left of them.

    Args:
        in_channels: of the images.
        out_channels: of the result.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        convolution = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        super().__init__(convolution, nn.MaxPool2d(2), nn.ReLU(inplace=True))

    def forward(self, images: Tensor) -> Tensor:
        """Images of shape (image, in_channels, height, width) to (image, out_channels, height / 2, width / 2)."""
        conv, pool, relu = self
        assert isinstance(conv, nn.Conv2d)
        assert conv.bias is not None
        result: Tensor = relu(pool(conv3x3(images, conv.weight)) + conv.bias[:, None, None])
        return result


class PrccAutoencoder(nn.Module):
    """Three convolutions down to a latent of 128 channels at an eighth of the side, three transposed ones back."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(Down(3, 32), Down(32, 64), Down(64, LATENT_CHANNELS))
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
