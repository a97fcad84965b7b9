"""What every room stands on: errors, units, intervals, files, the compiler."""
