"""What all classifiers of blood cells have in common."""

from __future__ import annotations

from torch import Tensor, nn


class Classifier(nn.Module):
    """A network from what is known of a cell to the logits of its class.

    Attributes:
        inputs: the arrays of the packs of blood cells that it takes, in order: `wbc`, `prcc` and `cam16` are the image
            at the size of that set, `cell` is the crop centred on the nucleus, `descriptors` what was measured.
    """

    inputs: tuple[str, ...]

    def classify(self, *arrays: Tensor) -> Tensor:
        """Classify.

        Args:
            arrays: what `inputs` names: images of shape (image, 3, side, side), values 0 to 1; descriptors of shape
                (image, descriptor).

        Returns:
            Logits, shape (image, class).
        """
        logits: Tensor = self(*arrays)
        return logits
