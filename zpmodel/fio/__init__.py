"""fio: the jobs that calibration needs, running them, and reading what any fio has written."""
