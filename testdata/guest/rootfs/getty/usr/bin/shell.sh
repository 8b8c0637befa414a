#!/bin/sh
# Getty's login program without a login: a shell in the host's own namespaces.
exec nsenter --target 1 --mount --uts --ipc --net --pid -- /bin/sh -l
