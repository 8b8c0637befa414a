# From `lkbuild push vcenter --tfvars iso.auto.tfvars.json`.

variable "datacenter" {
  description = "Datacenter, by name or inventory path."
  type        = string
  default     = null
}

variable "datastore" {
  description = "Datastore that the ISO is on."
  type        = string
}

variable "iso_path" {
  description = "Path of the ISO on its datastore."
  type        = string
}

# Yours.

variable "network" {
  description = "Network of the machines."
  type        = string
  default     = "VM Network"
}

variable "cluster" {
  description = "Cluster to run on."
  type        = string
  default     = null
}

variable "host" {
  description = "Host to run on, where there is no cluster."
  type        = string
  default     = null
}

variable "folder" {
  description = "Folder of the machines."
  type        = string
  default     = null
}

variable "disk_gib" {
  description = "Size of each machine's persistent disk in GiB."
  type        = number
  default     = 40
}

variable "firmware" {
  description = "\"efi\" or \"bios\"."
  type        = string
  default     = "efi"
}
