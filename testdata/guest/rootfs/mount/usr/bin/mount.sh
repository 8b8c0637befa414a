#!/bin/sh
# mount.sh LABEL FOLDER: mounts the file system of that label.
set -eu
device=$(findfs "LABEL=$1")
mkdir -p "$2"
e2fsck -p "$device" || [ $? -le 1 ]
mount -t ext4 "$device" "$2"
echo "mounted $device on $2"
