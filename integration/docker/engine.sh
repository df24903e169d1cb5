#!/bin/bash
# A Docker host and what is around it: pid 1 of its own pid namespace, with its own network and
# mounts. Gone without a trace when stdin ends, however that comes about.
#
#   unshare --net --mount --pid --fork --kill-child --propagation private bash engine.sh ROOT CGROUP [PROGRAMS]
#
# ROOT is the folder with Docker's programs, `/` or a chroot; PROGRAMS one with some that go before
# them. Says `ready PID`, then takes lines:
# `start ARGUMENT…`, `stop`, `kill`. Says `exited CODE` whenever dockerd ends.
set -euo pipefail
exec 2>&1
root=$1
cgroup=$2
programs=${3:+$3:}
read -r pid _ </proc/self/stat # still the outer /proc: our pid as the tests see it

# Namespaces: this one is the host; `internet` lies before ext0, `lan` behind lan0.
# In both somebody serves their name on port 8000.
mount -t tmpfs tmpfs /run
mkdir /run/cgroup
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount --rbind /run/cgroup /sys/fs/cgroup
# A new namespace copies the machine's settings. As on a fresh host, Docker shall turn forwarding on.
for family in ipv4/ip_forward ipv6/conf/all/forwarding; do
  echo 0 >"/proc/sys/net/$family"
done
ip netns add internet
ip netns add lan
ip link add ext0 type veth peer name eth0 netns internet
ip link add lan0 type veth peer name eth0 netns lan
for link in lo ext0 lan0; do
  ip link set "$link" up
done
ip addr add 192.168.1.10/24 dev ext0
ip addr add 192.168.1.11/24 dev ext0
ip addr add fd00:1::10/64 dev ext0 nodad
ip addr add fd00:1::11/64 dev ext0 nodad
ip addr add 10.7.0.1/24 dev lan0
for outside in internet lan; do
  ip -n "$outside" link set lo up
  ip -n "$outside" link set eth0 up
done
for last in 1 2 3 4 5; do
  ip -n internet addr add "192.168.1.$last/24" dev eth0
  ip -n internet addr add "fd00:1::$last/64" dev eth0 nodad
done
ip -n internet addr add 10.9.0.1/32 dev eth0
ip -n lan addr add 10.7.0.2/24 dev eth0
ip -n lan route add default via 10.7.0.1
ip -n internet route add 10.7.0.0/24 via 192.168.1.10
ip -n internet route add 172.16.0.0/12 via 192.168.1.10
ip route add default via 192.168.1.2
ip route add 10.9.0.1/32 dev ext0
for outside in internet lan; do
  mkdir -p "/run/www/$outside"
  echo "$outside" >"/run/www/$outside/index.html"
  nsenter --net="/run/netns/$outside" busybox httpd -p 8000 -h "/run/www/$outside"
done

if [[ $root != / ]]; then
  mount --bind "$root" "$root" # Docker takes its / to be a mount point
  for folder in dev proc run sys; do
    mount --rbind "/$folder" "$root/$folder"
  done
fi

run() {
  chroot "$root" env -i PATH="$programs"/usr/sbin:/usr/bin:/sbin:/bin HOME=/run "$@"
}

run containerd --root /run/ctd/root --state /run/ctd/state --address /run/ctd.sock </dev/null >/run/ctd.log 2>&1 &
echo '{}' >/run/daemon.json

dockerd() {
  local code=0
  run dockerd --config-file /run/daemon.json --containerd /run/ctd.sock --host unix:///run/dk.sock --pidfile /run/dk.pid \
    --data-root /run/data --exec-root /run/exec --cgroup-parent "$cgroup" --exec-opt native.cgroupdriver=cgroupfs \
    "$@" </dev/null >>/run/dk.log 2>&1 || code=$?
  echo "exited $code"
}

echo "ready $pid"
while read -r verb rest; do
  case $verb in
    start)
      read -ra words <<<"$rest"
      dockerd "${words[@]}" &
      ;;
    stop) kill -TERM "$(</run/dk.pid)" ;;
    kill) kill -KILL "$(</run/dk.pid)" ;;
  esac
done
