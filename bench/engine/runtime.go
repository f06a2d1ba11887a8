package main

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// moveIn does the OCI runtime's part: interfaces of the host into a netns, renamed and up.
func moveIn(path string, devices []netDevice) error {
	pod, err := netns.GetFromPath(path)
	if err != nil {
		return err
	}
	defer pod.Close()
	inside, err := netlink.NewHandleAt(pod)
	if err != nil {
		return err
	}
	defer inside.Close()
	for _, device := range devices {
		link, err := netlink.LinkByName(device.HostIf)
		if err != nil {
			return err
		}
		if err := errors.Join(netlink.LinkSetDown(link), netlink.LinkSetNsFd(link, int(pod))); err != nil {
			return fmt.Errorf("move %s in: %w", device.HostIf, err)
		}
		if err := errors.Join(inside.LinkSetName(link, device.Name), inside.LinkSetUp(link)); err != nil {
			return fmt.Errorf("name %s: %w", device.Name, err)
		}
	}
	return nil
}

// moveOut brings back what the plugin has left in a netns, as nobody else would.
func moveOut(path string, devices []netDevice) error {
	home, err := netns.Get()
	if err != nil {
		return err
	}
	defer home.Close()
	pod, err := netns.GetFromPath(path)
	if err != nil {
		return err
	}
	defer pod.Close()
	inside, err := netlink.NewHandleAt(pod)
	if err != nil {
		return err
	}
	defer inside.Close()
	for _, device := range devices {
		link, err := inside.LinkByName(device.Name)
		if errors.As(err, &netlink.LinkNotFoundError{}) {
			continue
		}
		if err != nil {
			return err
		}
		if err := errors.Join(
			inside.LinkSetDown(link), inside.LinkSetName(link, device.HostIf), inside.LinkSetNsFd(link, int(home)),
		); err != nil {
			return fmt.Errorf("bring %s home: %w", device.HostIf, err)
		}
		if link, err = netlink.LinkByName(device.HostIf); err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
	}
	return nil
}
