output "machines" {
  description = "The Docker hosts."
  value       = module.docker_hosts.machines
}
