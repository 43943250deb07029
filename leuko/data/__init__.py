"""From a folder of images to arrays ready for training: layout, checks, manifest, masks, copies, packs."""
