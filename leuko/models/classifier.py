"""What all classifiers of blood cells have in common."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn


class Classifier(nn.Module):
    """A network from what is known of a cell to the logits of its class.

    Attributes:
        inputs: the arrays of the packs that it takes, in order: `wbc`, `prcc` and `cam16` are the whole image at the
            size of that set, `cell` is the nucleus-centred crop, and `descriptors` are what was measured on it.
    """

    inputs: ClassVar[tuple[str, ...]]

    def classify(self, *arrays: Tensor) -> Tensor:
        """Classify.

        Args:
            arrays: what `inputs` names; images have shape (image, 3, side, side) and values 0 to 1, descriptors
                (image, descriptor).

        Returns:
            Logits, shape (image, class).
        """
        logits: Tensor = self(*arrays)
        return logits
