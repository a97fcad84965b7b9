"""Running fio and the kernel's own zero-out on this machine."""
