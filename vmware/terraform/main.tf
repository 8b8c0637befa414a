data "vsphere_datacenter" "this" {
  name = var.datacenter
}

data "vsphere_datastore" "iso" {
  name          = var.datastore
  datacenter_id = data.vsphere_datacenter.this.id
}

data "vsphere_datastore" "disk" {
  name          = coalesce(var.disk_datastore, var.datastore)
  datacenter_id = data.vsphere_datacenter.this.id
}

data "vsphere_network" "this" {
  name          = var.network
  datacenter_id = data.vsphere_datacenter.this.id
}

data "vsphere_compute_cluster" "this" {
  count = var.cluster == null ? 0 : 1

  name          = var.cluster
  datacenter_id = data.vsphere_datacenter.this.id
}

# Without a cluster or a pool it takes a host; where there is only one, that needs no name.
data "vsphere_host" "this" {
  count = var.host == null && (var.cluster != null || var.resource_pool != null) ? 0 : 1

  name          = var.host
  datacenter_id = data.vsphere_datacenter.this.id
}

data "vsphere_resource_pool" "this" {
  count = var.resource_pool == null ? 0 : 1

  name          = var.resource_pool
  datacenter_id = data.vsphere_datacenter.this.id
}

locals {
  # The narrowest that was named.
  resource_pool_id = concat(
    data.vsphere_resource_pool.this[*].id,
    data.vsphere_compute_cluster.this[*].resource_pool_id,
    data.vsphere_host.this[*].resource_pool_id,
  )[0]
}

resource "vsphere_virtual_machine" "this" {
  count = var.instances

  name             = "${var.name}-${count.index + 1}"
  resource_pool_id = local.resource_pool_id
  host_system_id   = var.host == null ? null : data.vsphere_host.this[0].id
  datastore_id     = data.vsphere_datastore.disk.id
  folder           = var.folder

  num_cpus     = var.cpus
  memory       = var.memory_mib
  firmware     = var.firmware
  guest_id     = var.guest_id
  scsi_type    = var.scsi_type
  annotation   = var.annotation
  extra_config = var.extra_config

  # Disks have stable names in the guest (/dev/disk/by-id).
  enable_disk_uuid = true

  wait_for_guest_net_timeout = var.wait_for_ip_minutes
  wait_for_guest_ip_timeout  = 0

  network_interface {
    network_id   = data.vsphere_network.this.id
    adapter_type = var.network_adapter
  }

  # The system. Another path is another CD in the same machine.
  cdrom {
    datastore_id = data.vsphere_datastore.iso.id
    path         = var.iso_path
  }

  # What persists.
  disk {
    label            = "data"
    unit_number      = 0
    size             = var.disk_gib
    thin_provisioned = var.disk_thin
    keep_on_remove   = var.keep_disks
  }

  lifecycle {
    # Servers do not all tell it, and nothing here sets it.
    ignore_changes = [swap_placement_policy]
  }
}
