//! References to images, as far as a static pod cares.

/// Why an image must not be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("image {image:?}: {why}")]
pub struct ImageError {
    image: String,
    why: &'static str,
}

/// Whether `image` always names the same thing: it has a digest, or a tag that is not `latest`. With `latest` every
/// node would run what happened to be there when it was prepared
/// (<https://kubernetes.io/docs/concepts/containers/images/#image-names>).
pub fn check_image(image: &str) -> Result<(), ImageError> {
    match refusal(image) {
        None => Ok(()),
        Some(why) => Err(ImageError { image: image.to_owned(), why }),
    }
}

const FORM: &str = "it is not a reference to an image, such as docker.io/library/lvscare:1.0.0";

/// The form of a reference is that of the OCI distribution specification, as container runtimes read it
/// (<https://pkg.go.dev/github.com/distribution/reference>).
fn refusal(image: &str) -> Option<&'static str> {
    if image.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Some(FORM);
    }
    let (name, digest) = match image.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (image, None),
    };
    if let Some(digest) = digest {
        let digits = digest.strip_prefix("sha256:").unwrap_or_default();
        if name.is_empty() || digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Some("its digest is not `@sha256:` and 64 hexadecimal digits");
        }
    }
    // The colon of a registry's port stands before the last slash.
    let last = name.rsplit('/').next().unwrap_or_default();
    let tag = last.split_once(':').map(|(_, tag)| tag);
    let path = tag.map_or(name, |tag| &name[..name.len() - tag.len() - 1]);
    if let Some(why) = path_refusal(path) {
        return Some(why);
    }
    match (tag, digest) {
        (Some(tag), _) if !is_tag(tag) => {
            Some("its tag is not of letters, digits, `_`, `.` and `-`, 128 at most")
        }
        (None, None) => Some("it has no tag, which means `latest`; name a version, such as :1.0.0"),
        (Some("latest"), None) => Some("`latest` is another one every day; name a version, such as :1.0.0"),
        _ => None,
    }
}

/// A registry may be before the first slash; every other part is in lower case.
fn path_refusal(path: &str) -> Option<&'static str> {
    let is_registry = |part: &str| part.contains(['.', ':']) || part == "localhost";
    let mut parts: Vec<_> = path.split('/').collect();
    if parts.len() > 1 && is_registry(parts[0]) {
        let registry = parts.remove(0);
        let (host, port) = registry.rsplit_once(':').unwrap_or((registry, "1"));
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-[]:".contains(&byte);
        if host.is_empty() || !host.bytes().all(allowed) || port.parse::<u16>().is_err() {
            return Some(FORM);
        }
    }
    if parts.iter().any(|part| part.bytes().any(|byte| byte.is_ascii_uppercase())) {
        return Some("its name has capitals; write it in lower case");
    }
    let is_part = |part: &&str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        part.bytes().all(|byte| inner(byte) || b"._-".contains(&byte))
            && part.bytes().next().is_some_and(inner)
            && part.bytes().last().is_some_and(inner)
    };
    (!parts.iter().all(is_part)).then_some(FORM)
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&tag.len())
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || b".-".contains(&byte))
}

/// The name under which container runtimes keep an image: `lvscare:1` is `docker.io/library/lvscare:1`.
pub fn full_name(image: &str) -> String {
    let end = image.find('@').unwrap_or(image.len());
    let Some((first, _)) = image[..end].split_once('/') else { return format!("docker.io/library/{image}") };
    if first.contains(['.', ':']) || first == "localhost" {
        return image.to_owned();
    }
    format!("docker.io/{image}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pinned_image_will_do() {
        let digest = format!("@sha256:{}", "0".repeat(64));
        for image in [
            "lvscare:0.1.0",
            "localhost:5000/a/lvscare:v1",
            &format!("lvscare{digest}"),
            &format!("a:latest{digest}"),
        ] {
            assert_eq!(check_image(image), Ok(()));
        }
        for (image, why) in [
            ("", "not a reference"),
            ("lvscare: 1", "not a reference"),
            ("lvscare:", "its tag"),
            ("lvscare", "no tag"),
            ("localhost:5000/lvscare", "no tag"),
            ("lvscare:latest", "another one every day"),
            ("lvscare@sha256:0", "its digest"),
            ("lvscare:1@md5:0", "its digest"),
            ("Lvscare:1", "in lower case"),
            ("registry.example/Team/lvscare:1", "in lower case"),
            ("a//b:1", "not a reference"),
            ("/lvscare:1", "not a reference"),
            ("lvscare:.x", "its tag"),
            (&format!("lvscare:{}", "x".repeat(200)), "its tag"),
            ("lvscare:1:2", "its tag"),
            ("registry:port/lvscare:1", "not a reference"),
            ("lvscare\n:1", "not a reference"),
        ] {
            let refusal = check_image(image).unwrap_err().to_string();
            assert!(refusal.contains(why), "{refusal}");
        }
    }

    #[test]
    fn the_full_name_has_a_registry() {
        for (image, full) in [
            ("lvscare:1", "docker.io/library/lvscare:1"),
            ("team/lvscare:1", "docker.io/team/lvscare:1"),
            ("docker.io/library/lvscare:1", "docker.io/library/lvscare:1"),
            ("localhost/lvscare:1", "localhost/lvscare:1"),
            ("registry:5000/lvscare:1", "registry:5000/lvscare:1"),
        ] {
            assert_eq!(full_name(image), full);
        }
    }
}
