#!/bin/sh
# vmtoolsd ends at once where there is no VMware: say so and stay, there is nothing to start again.
if grep -qi vmware /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/product_name 2>/dev/null; then
    exec /usr/bin/vmtoolsd
fi
echo "no VMware here: $(cat /sys/class/dmi/id/sys_vendor 2>/dev/null)"
exec sleep 2147483647
