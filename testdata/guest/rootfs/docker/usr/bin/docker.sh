#!/bin/sh
# The Docker engine as a LinuxKit service. Containers get a cgroup beside the service's own: by
# cgroup v2's rule no process may live in a cgroup that hands controllers down.
set -e
mkdir -p /run/docker/containerd /tmp
for module in br_netfilter ip_tables iptable_nat iptable_filter nf_conntrack xt_conntrack xt_MASQUERADE xt_addrtype veth; do
    modprobe -q "$module" || echo "no module $module"
done
# dockerd would start containerd itself and give it up after 15 seconds, which is too short for an
# emulated machine. Where one of the two ends, the other goes too, and the service is started again.
socket=/run/docker/containerd/containerd.sock
rm -f "$socket"
/usr/bin/containerd --config /etc/docker/containerd.toml --address "$socket" &
containerd=$!
until [ -S "$socket" ]; do
    kill -0 "$containerd"
    sleep 1
done
(
    while kill -0 "$containerd" 2>/dev/null && kill -0 "$$" 2>/dev/null; do sleep 2; done
    kill "$$" "$containerd" 2>/dev/null
) &
exec /usr/sbin/dockerd --containerd "$socket" --exec-opt native.cgroupdriver=cgroupfs \
    --cgroup-parent /docker-containers "$@"
