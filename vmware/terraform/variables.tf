# What `lkbuild push vcenter --tfvars FILE` writes.

variable "datacenter" {
  description = "Datacenter, by name or inventory path (\"EMEA/Lab 1/DC1\"). Not needed on ESXi."
  type        = string
  default     = null
}

variable "datastore" {
  description = "Datastore that the ISO is on, by name or inventory path. The machines are there too, unless disk_datastore says otherwise."
  type        = string
}

variable "iso_path" {
  description = "Path of the ISO on its datastore: \"docker-host/docker-host.iso\". Changing it changes the CD of the machines and keeps their disks."
  type        = string

  validation {
    condition     = length(regexall("^(\\[|/)", var.iso_path)) == 0 && length(var.iso_path) > 0
    error_message = "The ISO's path starts at the top of its datastore: no [datastore], no slash before it."
  }
}

# How many, of what name and size.

variable "instances" {
  description = "How many machines there are. Making it less removes the last ones, and their disks unless keep_disks is true."
  type        = number
  default     = 1

  validation {
    condition     = var.instances >= 0 && floor(var.instances) == var.instances
    error_message = "The number of machines is a whole number, 0 or more."
  }
}

variable "name" {
  description = "Name of the machines: NAME-1, NAME-2 and so on."
  type        = string
}

variable "cpus" {
  description = "Virtual processors of each machine."
  type        = number
  default     = 2
}

variable "memory_mib" {
  description = "Memory of each machine in MiB. The system runs from memory: at least what lkbuild says that the image needs."
  type        = number
  default     = 2048

  validation {
    condition     = var.memory_mib >= 4 && var.memory_mib % 4 == 0
    error_message = "Memory is a multiple of 4 MiB."
  }
}

variable "firmware" {
  description = "\"efi\" or \"bios\"; lkbuild's ISOs boot with both."
  type        = string
  default     = "efi"

  validation {
    condition     = contains(["bios", "efi"], var.firmware)
    error_message = "The firmware is \"bios\" or \"efi\"."
  }
}

# The persistent disk.

variable "disk_gib" {
  description = "Size of each machine's persistent disk in GiB. It can grow, not shrink."
  type        = number
  default     = 20

  validation {
    condition     = var.disk_gib >= 1
    error_message = "A disk has 1 GiB or more."
  }
}

variable "disk_thin" {
  description = "Take room for the disks only as they fill."
  type        = bool
  default     = true
}

variable "disk_datastore" {
  description = "Datastore of the machines and their disks, by name or inventory path (default: the ISO's)."
  type        = string
  default     = null
}

variable "keep_disks" {
  description = "Leave the disks on the datastore when machines are removed."
  type        = bool
  default     = false
}

# Where the machines run.

variable "network" {
  description = "Network of the machines, by name or inventory path."
  type        = string
}

variable "cluster" {
  description = "Cluster to run on, by name or inventory path."
  type        = string
  default     = null
}

variable "host" {
  description = "Host to run on, by name or inventory path; with a cluster or a resource pool, the host in it."
  type        = string
  default     = null
}

variable "resource_pool" {
  description = "Resource pool, by name or inventory path (\"cluster/Resources/pool\"; default: that of the cluster or host)."
  type        = string
  default     = null
}

variable "folder" {
  description = "Folder of the machines, below the datacenter's folder of machines; it must be there (default: that one itself)."
  type        = string
  default     = null
}

# The rest is rarely changed.

variable "guest_id" {
  description = "VMware's name of the guest's system."
  type        = string
  default     = "other3xLinux64Guest"
}

variable "scsi_type" {
  description = "Controller of the disk."
  type        = string
  default     = "pvscsi"
}

variable "network_adapter" {
  description = "Kind of the network card."
  type        = string
  default     = "vmxnet3"
}

variable "extra_config" {
  description = "Further settings of each machine, such as guestinfo.* for the guest to read."
  type        = map(string)
  default     = {}
}

variable "annotation" {
  description = "Notes of each machine."
  type        = string
  default     = null
}

variable "wait_for_ip_minutes" {
  description = "Wait so long for an IP address. It takes VMware's tools in the image to tell one; 0 does not wait."
  type        = number
  default     = 0
}
