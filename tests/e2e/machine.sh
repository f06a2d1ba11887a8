# Process 1 of a stand-in for a machine, in new PID, mount, network, UTS and IPC namespaces.
#
# Gives it private copies of the directories that engines, runtimes and CNI plugins write to, so that
# all of them run at their default paths and the real machine sees nothing of it. Lives until its
# standard input ends; with it the kernel ends every process and every mount of these namespaces.
set -eu

hostname node
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/lock /run/netns /run/upper /run/cgroup

# /sys/class/net must show the new network namespace, and cgroups stay reachable below /sys.
mount --rbind /sys/fs/cgroup /run/cgroup
mount -t sysfs sysfs /sys
mount --rbind /run/cgroup /sys/fs/cgroup
umount -l /run/cgroup
rmdir /run/cgroup
# On a hybrid layout crun refuses to run beside a version 2 tree.
if [ -e /sys/fs/cgroup/unified/cgroup.procs ]; then umount /sys/fs/cgroup/unified; fi

for directory in /etc /opt /var/lib /var/log; do
    mkdir -p "/run/upper$directory" "/run/upper/.work$directory"
    mount -t overlay -o "lowerdir=$directory,upperdir=/run/upper$directory,workdir=/run/upper/.work$directory" \
        overlay "$directory"
done
# The engines' own overlays cannot lie upon an overlay.
for directory in /var/lib/containerd /var/lib/containers; do
    mkdir -p "$directory"
    mount -t tmpfs tmpfs "$directory"
done

ip link set lo up
echo ready
# With SIGCHLD ignored the kernel reaps the orphans that end.
exec env --ignore-signal=CHLD cat
