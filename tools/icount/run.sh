#!/bin/sh
# Count instructions of zeroing ranges on null_blk: ./run.sh BZIMAGE JOBS [KERNEL PARAMETERS] > results
here=$(dirname "$0")
. "$here/guest.sh"
make_initrd "$here/init.c" "$2"
guest "$1" "$3"
