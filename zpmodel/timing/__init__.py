"""From counts to time: what each event costs, what the device takes, and how far the two overlap."""
