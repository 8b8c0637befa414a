# Server, user and password come from VSPHERE_SERVER, VSPHERE_USER and VSPHERE_PASSWORD.
provider "vsphere" {}

module "docker_hosts" {
  source = "../.."

  instances = 3
  name      = "docker"

  datacenter = var.datacenter
  datastore  = var.datastore
  iso_path   = var.iso_path

  network = var.network
  cluster = var.cluster
  host    = var.host
  folder  = var.folder

  cpus       = 2
  memory_mib = 4096
  firmware   = var.firmware
  disk_gib   = var.disk_gib
}
