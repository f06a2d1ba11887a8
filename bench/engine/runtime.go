package main

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// move moves an interface into or out of the netns of a pod, by a handle that acts in there.
type move func(pod netns.NsHandle, inside *netlink.Handle, device netDevice) error

// each moves every interface that the pod of a command is given; without any, the pod needs no netns.
func (m move) each(c *command) error {
	if len(c.Devices) == 0 {
		return nil
	}
	pod, err := netns.GetFromPath(c.Netns)
	if err != nil {
		return err
	}
	defer pod.Close()
	inside, err := netlink.NewHandleAt(pod)
	if err != nil {
		return err
	}
	defer inside.Close()
	for _, device := range c.Devices {
		if err := m(pod, inside, device); err != nil {
			return fmt.Errorf("%s in the pod, %s outside: %w", device.Name, device.HostIf, err)
		}
	}
	return nil
}

// moveIn does the OCI runtime's part: an interface of the host into a netns, renamed and up.
func moveIn(pod netns.NsHandle, inside *netlink.Handle, device netDevice) error {
	link, err := netlink.LinkByName(device.HostIf)
	if err != nil {
		return err
	}
	if err := errors.Join(netlink.LinkSetDown(link), netlink.LinkSetNsFd(link, int(pod))); err != nil {
		return err
	}
	return errors.Join(inside.LinkSetName(link, device.Name), inside.LinkSetUp(link))
}

// moveOut brings back what the plugin has left in a netns, as nobody else would.
func moveOut(_ netns.NsHandle, inside *netlink.Handle, device netDevice) error {
	link, err := inside.LinkByName(device.Name)
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	if err != nil {
		return err
	}
	home, err := netns.Get()
	if err != nil {
		return err
	}
	defer home.Close()
	if err := errors.Join(
		inside.LinkSetDown(link), inside.LinkSetName(link, device.HostIf), inside.LinkSetNsFd(link, int(home)),
	); err != nil {
		return err
	}
	if link, err = netlink.LinkByName(device.HostIf); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}
