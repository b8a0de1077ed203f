#!/bin/bash
# Two hosts on one machine, to try a cluster without one (Linux, root; iproute2):
#     two_hosts.sh up             hosts `one` and `two`
#     two_hosts.sh disk           a disk that they share by sshfs, which it needs beside openssh
#     two_hosts.sh on two ray start --address one:6379
#     ip link set two down        takes the network from `two`; `ip link set two up` gives it back
#     two_hosts.sh slurm          SLURM and munge on both, for `two_hosts.sh on one sbatch ...`
#     two_hosts.sh down           ends all that runs there; what is on the disk stays
# Each has a network, a host name, processes, /tmp, /run and /dev/shm of its own; all other files
# are the machine's. The disk is /mnt/dsi: a folder of `one`, mounted by `two`. Files: $TWO_HOSTS.
set -euo pipefail
PATH=$PATH:/usr/sbin
there=${TWO_HOSTS:-/var/tmp/two_hosts} disk=/mnt/dsi
export SLURM_CONF=$there/slurm.conf

host() { # name, address: a process that holds its namespaces, and takes care of orphans
    local at="$there/$1"
    mkdir -p "$at/tmp" "$there/disk" "$disk"
    ip netns add "$1"
    ip link add "$1" type veth peer name eth0 netns "$1"
    ip link set "$1" master two_hosts up
    ip -n "$1" link set lo up
    ip -n "$1" link set eth0 up
    ip -n "$1" address add "$2/24" dev eth0
    ip netns exec "$1" unshare --mount --uts --pid --fork --mount-proc --kill-child bash -ec "
        hostname $1
        mount --bind $at/tmp /tmp
        mount --bind $there/hosts /etc/hosts
        mount -t tmpfs tmpfs /run
        mount -t tmpfs tmpfs /dev/shm
        touch $at/ready
        sleep infinity & wait" &
    until [[ -e $at/ready ]]; do kill -0 $!; sleep 0.1; done
    ps -o pid= --ppid $! > "$at/pid"
}

on() { nsenter --target "$(< "$there/$1/pid")" --all --wd="$PWD" "${@:2}"; }

case ${1:-} in
up)
    mkdir -p "$there"
    printf '127.0.0.1 localhost\n10.78.0.1 one\n10.78.0.2 two\n' > "$there/hosts"
    ip link add two_hosts type bridge
    ip link set two_hosts up
    host one 10.78.0.1
    host two 10.78.0.2
    ;;
disk)
    on one mount --bind "$there/disk" "$disk"
    [[ -e $there/key ]] || ssh-keygen -q -t ed25519 -N '' -f "$there/key"
    on one mkdir -p /run/sshd
    on one "$(command -v sshd)" -h "$there/key" -o "AuthorizedKeysFile=$there/key.pub" \
        -o StrictModes=no -o UsePAM=no
    on two sshfs "one:$disk" "$disk" -o "IdentityFile=$there/key,StrictHostKeyChecking=no" \
        -o UserKnownHostsFile=/dev/null
    ;;
on) on "${@:2}" ;;
slurm) # of one core each, so that two tasks come to two hosts
    cat > "$SLURM_CONF" << 'CONF'
ClusterName=two_hosts
SlurmctldHost=one
SlurmUser=root
StateSaveLocation=/tmp/slurm/state
SlurmdSpoolDir=/tmp/slurm/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/tmp/slurm/slurmctld.log
SlurmdLogFile=/tmp/slurm/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
ReturnToService=2
NodeName=one,two CPUs=1 RealMemory=4000
PartitionName=all Nodes=one,two Default=YES State=UP
CONF
    echo CgroupPlugin=cgroup/v1 > "$there/cgroup.conf"
    head -c 1024 /dev/urandom > "$there/munge.key"
    chmod 400 "$there/munge.key"
    for name in one two; do
        on "$name" mkdir -p /tmp/slurm/state /tmp/slurm/slurmd /run/munge
        on "$name" munged --force --key-file="$there/munge.key" --pid-file=/run/munge/pid \
            --log-file=/run/munge/log --seed-file=/run/munge/seed
    done
    on one slurmctld
    for name in one two; do on "$name" slurmd -N "$name"; done
    ;;
down)
    for name in one two; do
        [[ ! -e $there/$name/pid ]] || kill -9 "$(< "$there/$name/pid")" || true
        ip link delete "$name" || true # else it stays until the last process has ended
        ip netns delete "$name" || true
        rm -rf "${there:?}/$name"
    done
    ip link delete two_hosts
    ;;
*) sed -n 2,10p "$0" ;;
esac
