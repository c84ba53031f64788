"""Import formats of the device archive (一机一档)."""
