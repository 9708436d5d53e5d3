//! What is asked of whom. Pure.

use hyper::Uri;

use super::{Error, shown};

const NO_URL: &str = "is no URL of http or https, such as https://example.com/kube1.34.1.tar.gz";

/// A place on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// Whether it is asked over TLS.
    pub(super) is_tls: bool,
    /// Its name or its address.
    pub(super) host: String,
    /// Its port.
    pub(super) port: u16,
    /// The path, with what follows it.
    pub(super) path: String,
}

impl Address {
    /// `http://..` or `https://..`
    pub(super) fn parse(url: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::Address(format!("`{}` {why}", shown(url)));
        // A fragment is nobody's business but a browser's.
        let url = url.split('#').next().unwrap_or_default();
        let uri: Uri = url.parse().map_err(|_| wrong(NO_URL))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong(NO_URL)),
        };
        let Some(authority) = uri.authority() else { return Err(wrong("names no server")) };
        if authority.as_str().contains('@') {
            return Err(wrong(
                "holds a user's name or password, which is not supported: everybody on this machine could see it",
            ));
        }
        if authority.host().is_empty() {
            return Err(wrong("names no server"));
        }
        let has_port = authority.as_str().len() > authority.host().len();
        let port = match authority.port_u16() {
            Some(port) if port > 0 => port,
            None if !has_port => {
                if is_tls {
                    443
                } else {
                    80
                }
            }
            _ => return Err(wrong("has a port that is none")),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self { is_tls, host: authority.host().to_owned(), port, path: path.to_owned() })
    }

    /// The host without the brackets of IPv6.
    pub(super) fn name(&self) -> &str {
        self.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&self.host)
    }

    /// What is said in the header `Host`.
    pub(super) fn authority(&self) -> String {
        match (self.is_tls, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            _ => format!("{}:{}", self.host, self.port),
        }
    }

    /// Where a server sends whoever asks it here. Nobody is sent from TLS to a link that anybody can change.
    pub(super) fn follow(&self, place: &str) -> Result<Self, Error> {
        let scheme = if self.is_tls { "https" } else { "http" };
        let directory = self.path.split('?').next().unwrap_or_default();
        let directory = &directory[..directory.rfind('/').map_or(0, |slash| slash + 1)];
        let url = if place.starts_with("//") {
            format!("{scheme}:{place}")
        } else if place.starts_with('/') {
            format!("{scheme}://{}{place}", self.authority())
        } else if place.contains("://") {
            place.to_owned()
        } else {
            format!("{scheme}://{}{directory}{place}", self.authority())
        };
        let next = Self::parse(&url)
            .map_err(|error| Error::Refused(format!("{} sends elsewhere: {error}", self.host)))?;
        if self.is_tls && !next.is_tls {
            let text =
                format!("{} sends from https: to http:, where anybody could change the file", self.host);
            return Err(Error::Refused(text));
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> String {
        match Address::parse(url) {
            Ok(address) => format!("{} {} {} {}", address.is_tls, address.host, address.port, address.path),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn places_are_read() {
        for (url, expected) in [
            ("https://example.com/kube.tar.gz", "true example.com 443 /kube.tar.gz"),
            ("http://10.0.0.1:8080/a?b=c#d", "false 10.0.0.1 8080 /a?b=c"),
            ("https://[fd00::1]:8443", "true [fd00::1] 8443 /"),
            (
                "ftp://example.com/x",
                "`ftp://example.com/x` is no URL of http or https, such as https://example.com/kube1.34.1.tar.gz",
            ),
            (
                "example.com/x",
                "`example.com/x` is no URL of http or https, such as https://example.com/kube1.34.1.tar.gz",
            ),
            (
                "https://",
                "`https://` is no URL of http or https, such as https://example.com/kube1.34.1.tar.gz",
            ),
            ("https://example.com:0/x", "`https://example.com:0/x` has a port that is none"),
            (
                "https://me:secret@example.com/x",
                "`https://me:secret@example.com/x` holds a user's name or password, which is not supported: everybody on this \
                 machine could see it",
            ),
        ] {
            assert_eq!(parsed(url), expected, "{url}");
        }
    }

    #[test]
    fn nobody_is_sent_from_tls_to_a_link_without() {
        let from = |url: &str, place: &str| match Address::parse(url).unwrap().follow(place) {
            Ok(address) => format!("{}{}", address.authority(), address.path),
            Err(error) => error.to_string(),
        };
        let begin = "https://a.example/x/y?z";
        for (place, expected) in [
            ("https://b.example:8443/k", "b.example:8443/k"),
            ("//b.example/k", "b.example/k"),
            ("/k", "a.example/k"),
            ("k", "a.example/x/k"),
            (
                "http://b.example/k",
                "a.example sends from https: to http:, where anybody could change the file",
            ),
            (
                "file:///etc/shadow",
                "a.example sends elsewhere: `file:///etc/shadow` is no URL of http or https, such as https://example.com/kube1.34.1.tar.gz",
            ),
        ] {
            assert_eq!(from(begin, place), expected, "{place}");
        }
        assert_eq!(from("http://a.example/", "https://b.example/k"), "b.example/k");
    }
}
