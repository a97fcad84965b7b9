"""Questions asked of a calibrated model: policies side by side, sweeps, sensitivities."""
