//! What docker (or podman) knows of a registry: config.json, its helpers, auth.json.

use docker_credential::DockerCredential;

use crate::registry::remote::Credentials;

/// Looks a registry up as docker does; `None` where nothing is known or a helper fails (then the
/// registry is asked without, and says what it wants).
pub(super) fn lookup(host: &str) -> Option<Credentials> {
    let found = docker_credential::get_credential(host)
        .or_else(|_| docker_credential::get_podman_credential(host))
        .ok()?;
    Some(match found {
        DockerCredential::IdentityToken(token) => Credentials::IdentityToken(token),
        DockerCredential::UsernamePassword(username, password) => {
            // Helpers mark a refresh token with this name.
            match username == "<token>" {
                true => Credentials::IdentityToken(password),
                false => Credentials::Password { username, password },
            }
        }
    })
}
