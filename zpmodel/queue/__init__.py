"""The block queue as the kernel has it: limits, presets, the zero page."""
