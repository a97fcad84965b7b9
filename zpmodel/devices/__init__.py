"""Models of devices: what each needs for a request."""
