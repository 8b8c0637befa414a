output "machines" {
  description = "Each machine by its name: its id, its CD, its disk, and its IP address if it has told one."
  value = {
    for machine in vsphere_virtual_machine.this : machine.name => {
      id         = machine.moid
      uuid       = machine.uuid
      iso        = "[${basename(var.datastore)}] ${machine.cdrom[0].path}"
      disk       = machine.disk[0].path
      ip_address = machine.default_ip_address
    }
  }
}

output "ip_addresses" {
  description = "Of the machines in order; empty where a machine has told none."
  value       = vsphere_virtual_machine.this[*].default_ip_address
}
