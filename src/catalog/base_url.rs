//! Where a provider's API is.

use std::fmt;

/// A parsed base URL: scheme, host, port and path prefix without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    /// `https` (true) or `http`.
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Path prefix such as `/api/v1`; empty for none.
    pub prefix: String,
}

/// Why a base URL was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an http:// or https:// base URL with a host")]
pub struct BadBaseUrl(pub String);

impl std::str::FromStr for BaseUrl {
    type Err = BadBaseUrl;

    fn from_str(url: &str) -> Result<Self, BadBaseUrl> {
        let bad = || BadBaseUrl(url.to_owned());
        let (tls, rest) = match url.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(bad()),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let default_port = if tls { 443 } else { 80 };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| bad())?),
            _ => (authority, default_port),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let well_formed = |s: &str| s.bytes().all(|b| b.is_ascii_graphic() && !b"@?#\\\"".contains(&b));
        if host.is_empty() || !well_formed(host) || !well_formed(path) {
            return Err(bad());
        }
        Ok(Self { tls, host: host.to_owned(), port, prefix: path.trim_end_matches('/').to_owned() })
    }
}

impl BaseUrl {
    /// This URL without the last segment of its path.
    pub fn parent(&self) -> Self {
        let prefix = self.prefix.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
        Self { prefix, ..self.clone() }
    }

    /// The `Host` header: the port only where it is not the scheme's own.
    pub fn host_header(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.host_header(), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, expect: Option<(&str, &str)>) {
        let parsed = url.parse::<BaseUrl>().ok();
        let got = parsed.as_ref().map(|u| (u.host_header(), u.to_string()));
        assert_eq!(got, expect.map(|(h, u)| (h.to_owned(), u.to_owned())), "{url}");
    }

    #[test]
    fn base_urls_keep_host_port_and_prefix() {
        check("https://openrouter.ai/api/v1/", Some(("openrouter.ai", "https://openrouter.ai/api/v1")));
        check("http://127.0.0.1:11434/v1", Some(("127.0.0.1:11434", "http://127.0.0.1:11434/v1")));
        check("http://[::1]:8000", Some(("[::1]:8000", "http://[::1]:8000")));
        check("http://[::1]", Some(("[::1]", "http://[::1]")));
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        for url in ["", "ftp://a", "https://", "https://a:b", "https://user@host", "http://a/ b"] {
            check(url, None);
        }
    }

    #[test]
    fn what_lies_beside_the_api_is_found_from_its_parent() {
        let parent = |url: &str| url.parse::<BaseUrl>().expect("a URL").parent().to_string();
        assert_eq!(parent("http://h:1/v1"), "http://h:1");
        assert_eq!(parent("https://h/api/v1"), "https://h/api");
        assert_eq!(parent("http://h"), "http://h");
    }
}
