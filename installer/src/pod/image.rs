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

fn refusal(image: &str) -> Option<&'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:@".contains(&byte);
    if image.is_empty() || !image.bytes().all(allowed) {
        return Some("it is not a reference to an image, such as docker.io/library/lvscare:1.0.0");
    }
    if let Some((name, digest)) = image.split_once('@') {
        let digits = digest.strip_prefix("sha256:").unwrap_or_default();
        let valid = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        return (name.is_empty() || !valid)
            .then_some("its digest is not `@sha256:` and 64 hexadecimal digits");
    }
    // The colon of a registry's port stands before the last slash.
    let last = image.rsplit('/').next().unwrap_or_default();
    match last.split_once(':') {
        None => Some("it has no tag, which means `latest`; name a version, such as :1.0.0"),
        Some((_, "latest")) => Some("`latest` is another one every day; name a version, such as :1.0.0"),
        Some((name, tag)) if name.is_empty() || tag.is_empty() || tag.contains(':') => {
            Some("it is not a reference to an image, such as docker.io/library/lvscare:1.0.0")
        }
        Some(_) => None,
    }
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
            ("lvscare:", "not a reference"),
            ("lvscare", "no tag"),
            ("localhost:5000/lvscare", "no tag"),
            ("lvscare:latest", "another one every day"),
            ("lvscare@sha256:0", "its digest"),
            ("lvscare:1@md5:0", "its digest"),
        ] {
            let refusal = check_image(image).unwrap_err().to_string();
            assert!(refusal.contains(why), "{refusal}");
        }
    }
}
