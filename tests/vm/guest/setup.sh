# Runs once in the new root file system, below chroot: what makes of Debian packages a machine for the tests.
set -eu
echo vm >/etc/hostname
passwd --quiet --delete root
systemctl enable guest-agent.service
# Each is started by the test that is about it.
systemctl disable NetworkManager.service NetworkManager-wait-online.service systemd-networkd.service \
    systemd-networkd.socket systemd-networkd-wait-online.service udhcpd.service 2>/dev/null || true
systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer
printf '%s\n' virtio_pci virtio_blk ext4 >>/etc/initramfs-tools/modules
sed -i 's/^MODULES=.*/MODULES=list/' /etc/initramfs-tools/initramfs.conf
update-initramfs -u -k all
echo '/dev/vda / ext4 defaults 0 1' >/etc/fstab
