"""What the kernel's own work costs a CPU: instructions, and the time that they take."""
