#!/bin/sh
# A shell on the kernel's console; with INSECURE set, without a password.
while :; do
    console=$(sed 's/.* //' /sys/class/tty/console/active)
    if [ -n "${INSECURE:-}" ]; then
        setsid getty -n -l /usr/bin/shell.sh 0 "$console" linux
    else
        setsid getty 0 "$console" linux
    fi
    sleep 1
done
