//! Answers to challenges: passwords, and tokens of token servers.

use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode};

use super::super::error::RegistryErrorKind;
use super::auth::{Challenge, Credentials, parse_challenge, parse_token};
use super::client::Client;
use super::endpoint::{DOCKER_HUB, Endpoint, authority, is_loopback};
use super::failure::Failure;

const MAX_TOKEN_BYTES: u64 = 1 << 20;

impl Client {
    /// The value of an `Authorization` header that answers a challenge; `None` where there is
    /// nothing to answer with. `actions` (`pull`, `pull,push`) are asked for where the challenge
    /// does not say what for.
    pub(super) async fn authorize(
        &self,
        endpoint: &Endpoint,
        repository: &str,
        actions: &str,
        challenge: Option<Challenge>,
    ) -> Result<Option<String>, Failure> {
        let lookup_host = match endpoint.host.as_str() {
            host if host == DOCKER_HUB.1 => "https://index.docker.io/v1/",
            host => host,
        };
        match challenge {
            None => Ok(None),
            Some(Challenge::Basic) => Ok(match (self.options.credentials)(lookup_host) {
                Some(Credentials::Password { username, password }) => {
                    Some(basic(&username, &password))
                }
                _ => None,
            }),
            Some(Challenge::Bearer {
                realm,
                service,
                scope,
            }) => {
                let scope = scope.unwrap_or_else(|| format!("repository:{repository}:{actions}"));
                let credentials = (self.options.credentials)(lookup_host);
                let token = self
                    .token(endpoint, &realm, service.as_deref(), &scope, credentials)
                    .await?;
                Ok(Some(format!("Bearer {token}")))
            }
        }
    }

    async fn token(
        &self,
        endpoint: &Endpoint,
        realm: &str,
        service: Option<&str>,
        scope: &str,
        credentials: Option<Credentials>,
    ) -> Result<String, Failure> {
        let bad = |reason: String| {
            Failure::fatal(RegistryErrorKind::Protocol {
                host: endpoint.host.clone(),
                reason,
            })
        };
        let mut url = Url::parse(realm).map_err(|e| bad(format!("token server {realm:?}: {e}")))?;
        let host = authority(&url);
        // Credentials go to the token server: never in the clear, but to this machine itself or
        // to the registry that the user called insecure.
        let plain_allowed = is_loopback(&host) || (endpoint.insecure && host == endpoint.host);
        if url.scheme() != "https" && !(url.scheme() == "http" && plain_allowed) {
            return Err(bad(format!(
                "its token server {host} is not encrypted, and gets no credentials"
            )));
        }
        self.options.way(&url)?;
        let client = if endpoint.insecure && host == endpoint.host {
            &self.unverified
        } else {
            &self.http
        };
        let request = if let Some(Credentials::IdentityToken(token)) = &credentials {
            let form = [
                ("grant_type", "refresh_token"),
                ("service", service.unwrap_or_default()),
                ("scope", scope),
                ("client_id", "lkbuild"),
                ("refresh_token", token),
            ];
            let mut body = Url::parse("http://form").map_err(|e| bad(e.to_string()))?;
            body.query_pairs_mut().extend_pairs(form);
            client
                .post(url)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(body.query().unwrap_or_default().to_owned())
        } else {
            {
                let mut query = url.query_pairs_mut();
                if let Some(service) = service {
                    query.append_pair("service", service);
                }
                query.append_pair("scope", scope);
            }
            let mut request = client.get(url);
            if let Some(Credentials::Password { username, password }) = &credentials {
                request = request.basic_auth(username, Some(password));
            }
            request
        };
        let response = request
            .send()
            .await
            .map_err(|e| self.options.transport_failure(endpoint, &e))?;
        if response.status() != StatusCode::OK {
            return Err(self.options.status_failure(
                endpoint,
                "the request for a token",
                &response,
            ));
        }
        let body = self.bounded(endpoint, response, MAX_TOKEN_BYTES).await?;
        if body.len() as u64 > MAX_TOKEN_BYTES {
            return Err(bad(format!("{host} gave a token without an end")));
        }
        parse_token(&body).ok_or_else(|| bad(format!("{host} gave no token that could be used")))
    }
}

/// The challenge of an answer with status 401.
pub(super) fn challenge(response: &Response) -> Option<Challenge> {
    let headers = response.headers().get_all(WWW_AUTHENTICATE);
    let mut found = headers
        .iter()
        .filter_map(|h| parse_challenge(h.to_str().ok()?));
    let first = found.next()?;
    // Bearer before Basic, as docker does.
    Some(match first {
        Challenge::Basic => found.next().unwrap_or(Challenge::Basic),
        bearer => bearer,
    })
}

fn basic(username: &str, password: &str) -> String {
    use base64::Engine;
    let pair = format!("{username}:{password}");
    format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(pair)
    )
}
