#!/bin/sh
# The Docker engine as a LinuxKit service. Containers get a cgroup beside the service's own: by
# cgroup v2's rule no process may live in a cgroup that hands controllers down.
set -e
mkdir -p /run/docker /tmp
for module in br_netfilter ip_tables iptable_nat iptable_filter nf_conntrack xt_conntrack xt_MASQUERADE xt_addrtype veth; do
    modprobe -q "$module" || echo "no module $module"
done
exec /usr/sbin/dockerd --exec-opt native.cgroupdriver=cgroupfs --cgroup-parent /docker-containers "$@"
