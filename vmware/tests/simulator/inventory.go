package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"github.com/google/uuid"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// newModel makes the inventory. Its datastores are folders below conf.Dir.
func newModel(conf *config) (*simulator.Model, error) {
	files := filepath.Join(conf.Dir, "datastores")
	if err := os.MkdirAll(files, 0o700); err != nil {
		return nil, err
	}
	// The library makes its datastores with TempDir.
	if err := os.Setenv("TMPDIR", files); err != nil {
		return nil, err
	}
	var model *simulator.Model
	if conf.Model == "esx" {
		model = simulator.ESX()
	} else {
		model = simulator.VPX()
		model.Datacenter = conf.Datacenters
		model.Folder = conf.Datacenters - 1 // the second datacenter is in a folder
		model.ClusterHost = conf.Hosts
	}
	model.Datastore = conf.Datastores
	model.Machine = conf.Machines
	if err := model.Create(); err != nil {
		return nil, err
	}
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword(conf.User, conf.Password)}

	ctx := context.Background()
	client, err := vim25.NewClient(ctx, model.Service)
	if err != nil {
		return nil, err
	}
	if conf.Datacenters > 1 && conf.Model != "esx" {
		if err := nestFolder(ctx, client); err != nil {
			return nil, err
		}
	}
	if conf.Datastore != "" {
		if err := addDatastore(ctx, client, files, conf.Datastore); err != nil {
			return nil, err
		}
	}
	mountEverywhere()
	aliasClusters()
	if conf.VSAN {
		for _, datastore := range datastores() {
			if datastore.Name == conf.Datastore {
				datastore.Summary.Type = "vsan"
			}
		}
	}
	return model, nil
}

// nestFolder makes of "F0/DC1" the datacenter "EMEA/Lab 1/DC1".
func nestFolder(ctx context.Context, client *vim25.Client) error {
	root := object.NewRootFolder(client)
	outer, err := root.CreateFolder(ctx, "EMEA")
	if err != nil {
		return err
	}
	for _, entity := range simulator.Map.All("Folder") {
		if entity.Entity().Name != "F0" || entity.Entity().Parent.Value != root.Reference().Value {
			continue
		}
		move, err := outer.MoveInto(ctx, []types.ManagedObjectReference{entity.Reference()})
		if err != nil {
			return err
		}
		if err := move.Wait(ctx); err != nil {
			return err
		}
		rename, err := object.NewCommon(client, entity.Reference()).Rename(ctx, "Lab 1")
		if err != nil {
			return err
		}
		return rename.Wait(ctx)
	}
	return fmt.Errorf("no folder F0 in the model")
}

// addDatastore adds one to all hosts of the first datacenter.
func addDatastore(ctx context.Context, client *vim25.Client, files, name string) error {
	dir := filepath.Join(files, "named")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for _, entity := range simulator.Map.All("HostSystem") {
		if dc := datacenterOf(entity); dc.Name != "DC0" && dc.Name != "ha-datacenter" {
			continue
		}
		system, err := object.NewHostSystem(client, entity.Reference()).ConfigManager().DatastoreSystem(ctx)
		if err != nil {
			return err
		}
		if _, err := system.CreateLocalDatastore(ctx, name, dir); err != nil {
			return err
		}
	}
	return nil
}

// mountEverywhere repairs what the library does for a datastore that several hosts have: its
// folder lists it once for each, and it lists the last host only.
func mountEverywhere() {
	for _, entity := range simulator.Map.All("Folder") {
		folder := &entity.(*simulator.Folder).Folder
		seen := make(map[types.ManagedObjectReference]bool)
		var once []types.ManagedObjectReference
		for _, child := range folder.ChildEntity {
			if !seen[child] {
				seen[child] = true
				once = append(once, child)
			}
		}
		folder.ChildEntity = once
	}
	hosts := simulator.Map.All("HostSystem")
	sort.Slice(hosts, func(i, j int) bool { return hosts[i].Entity().Name < hosts[j].Entity().Name })
	for _, datastore := range datastores() {
		if len(datastore.Host) == 0 {
			continue
		}
		mount := datastore.Host[0].MountInfo
		datastore.Host = nil
		for _, host := range hosts {
			for _, ref := range host.(*simulator.HostSystem).Datastore {
				if ref == datastore.Self {
					datastore.Host = append(datastore.Host,
						types.DatastoreHostMount{Key: host.Reference(), MountInfo: mount})
				}
			}
		}
	}
}

// aliasClusters lets clusters be asked as what they are a kind of, ComputeResource; Terraform does.
func aliasClusters() {
	for _, entity := range simulator.Map.All("ClusterComputeResource") {
		alias := entity.(*simulator.ClusterComputeResource).ComputeResource
		alias.Self.Type = "ComputeResource"
		simulator.Map.Put(&alias)
	}
}

// datastores are all there are, sorted by datacenter and name.
func datastores() []*simulator.Datastore {
	var all []*simulator.Datastore
	for _, entity := range simulator.Map.All("Datastore") {
		all = append(all, entity.(*simulator.Datastore))
	}
	key := func(d *simulator.Datastore) string { return inventoryPath(datacenterOf(d)) + "\x00" + d.Name }
	sort.Slice(all, func(i, j int) bool { return key(all[i]) < key(all[j]) })
	return all
}

// isVSAN says whether folders at the top of the datastore are objects and files can't be there.
func isVSAN(datastore *simulator.Datastore) bool {
	return datastore.Summary.Type == "vsan"
}

func datastoreDir(datastore *simulator.Datastore) string {
	return datastore.Info.GetDatastoreInfo().Url
}

// parents calls visit with the entity and all that it is in, until visit returns false.
func parents(entity mo.Entity, visit func(mo.Entity) bool) {
	for entity != nil && visit(entity) {
		parent := entity.Entity().Parent
		if parent == nil {
			return
		}
		entity, _ = simulator.Map.Get(*parent).(mo.Entity)
	}
}

func datacenterOf(entity mo.Entity) *mo.Datacenter {
	var found *mo.Datacenter
	parents(entity, func(e mo.Entity) bool {
		if dc, ok := e.(*simulator.Datacenter); ok {
			found = &dc.Datacenter
		}
		return found == nil
	})
	return found
}

// inventoryPath is the names from below the root folder on, such as "EMEA/Lab 1/DC1".
func inventoryPath(entity mo.Entity) string {
	var names []string
	parents(entity, func(e mo.Entity) bool {
		if e.Entity().Parent != nil {
			names = append([]string{e.Entity().Name}, names...)
		}
		return true
	})
	return strings.Join(names, "/")
}

// findDatastore is the datastore that a URL of the file API means; nil if there is none.
func findDatastore(dcPath, name string) *simulator.Datastore {
	esx := simulator.Map.IsESX()
	for _, datastore := range datastores() {
		dc := inventoryPath(datacenterOf(datastore))
		here := dc == strings.TrimPrefix(dcPath, "/") || esx && dcPath == ""
		if here && datastore.Name == name {
			return datastore
		}
	}
	return nil
}

// isOpen says whether a running virtual machine has the file open.
func isOpen(datastore *simulator.Datastore, file string) bool {
	want := object.DatastorePath{Datastore: datastore.Name, Path: path.Clean(file)}
	for _, entity := range simulator.Map.All("VirtualMachine") {
		vm := entity.(*simulator.VirtualMachine)
		if vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOn ||
			datacenterOf(vm).Self != datacenterOf(datastore).Self {
			continue
		}
		for _, name := range backings(vm) {
			if name == want.String() {
				return true
			}
		}
	}
	return false
}

// backings are the datastore paths of a virtual machine's disks and CDs.
func backings(vm *simulator.VirtualMachine) []string {
	var names []string
	for _, device := range vm.Config.Hardware.Device {
		info, ok := device.GetVirtualDevice().Backing.(types.BaseVirtualDeviceFileBackingInfo)
		if ok {
			names = append(names, info.GetVirtualDeviceFileBackingInfo().FileName)
		}
	}
	return names
}

// nameDisks gives disks the identifiers that every real one has.
func nameDisks() {
	for _, entity := range simulator.Map.All("VirtualMachine") {
		vm := entity.(*simulator.VirtualMachine)
		simulator.Map.WithLock(vm, func() {
			for _, device := range vm.Config.Hardware.Device {
				backing, ok := device.GetVirtualDevice().Backing.(*types.VirtualDiskFlatVer2BackingInfo)
				if ok && backing.Uuid == "" {
					backing.Uuid = uuid.NewSHA1(uuid.NameSpaceURL, []byte(backing.FileName)).String()
				}
			}
		})
	}
}

// setAddress lets a virtual machine report an IP address, as its guest tools would.
func setAddress(name, ip string) string {
	return change(name, func(vm *simulator.VirtualMachine) {
		simulator.Map.Update(vm, []types.PropertyChange{
			{Name: "guest.ipAddress", Val: ip},
			{Name: "summary.guest.ipAddress", Val: ip},
		})
	})
}

// insertCD puts a file of a datastore into the CD drive of a virtual machine.
func insertCD(name, file string) string {
	return change(name, func(vm *simulator.VirtualMachine) {
		for _, device := range vm.Config.Hardware.Device {
			if cd, ok := device.(*types.VirtualCdrom); ok {
				cd.Backing = &types.VirtualCdromIsoBackingInfo{
					VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{FileName: file},
				}
			}
		}
	})
}

func change(name string, how func(*simulator.VirtualMachine)) string {
	for _, entity := range simulator.Map.All("VirtualMachine") {
		vm := entity.(*simulator.VirtualMachine)
		if vm.Name == name {
			simulator.Map.WithLock(vm, func() { how(vm) })
			return "ok"
		}
	}
	return fmt.Sprintf("no virtual machine %q", name)
}
