#!/bin/sh
# Compares this container's files with /check/expected, line by line: mode, owner, link count, size,
# then the symlink's target or the content's md5 sum, then the path. build-parts writes that list.
set -u
bad=0
count=0
while read -r mode owner links size what path; do
    count=$((count + 1))
    is="$(stat -c '%a %u:%g %h %s' "$path" 2>&1)"
    if [ -L "$path" ]; then
        is="$is $(readlink "$path")"
    elif [ -f "$path" ]; then
        is="$is $(md5sum <"$path" | cut -d' ' -f1)"
    else
        is="$is -"
    fi
    want="$mode $owner $links $size $what"
    # Folders' link counts and sizes are the file system's own.
    if [ -d "$path" ] && [ ! -L "$path" ]; then
        is="$(stat -c '%a %u:%g' "$path") - - -"
    fi
    if [ "$is" != "$want" ]; then
        echo "WRONG $path: is $is, should be $want"
        bad=$((bad + 1))
    fi
done </check/expected
for path in $(cat /check/absent); do
    if [ -e "$path" ]; then
        echo "WRONG $path: is there, should be hidden"
        bad=$((bad + 1))
    fi
done
if [ "$bad" = 0 ] && [ "$count" -gt 20 ]; then
    echo "check ok: $count paths"
else
    echo "check FAILED: $bad of $count paths wrong"
    exit 1
fi
