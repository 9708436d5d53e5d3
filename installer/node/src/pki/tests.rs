//! Certificates and keys made by OpenSSL, reissued here, and judged by OpenSSL again.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use ring::rand::SystemRandom;
use tempfile::TempDir;

use super::certificate::{AlternativeName, Certificate, name};
use super::key::PrivateKey;
use super::reissue::{Change, Error, reissue};
use super::{kubeconfig, pem};
use crate::date::date;

/// 2125-11-03, 99 years after this was written.
const FAR: u64 = 4_918_060_800;

/// A directory in which OpenSSL works.
struct Openssl(TempDir);

impl Openssl {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    #[track_caller]
    fn run(&self, words: &str) -> String {
        let words: Vec<_> = words.split_whitespace().collect();
        let output = Command::new("openssl").args(&words).current_dir(self.0.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {}: {said}", words.join(" "));
        String::from_utf8(output.stdout).unwrap()
    }

    fn write(&self, name: &str, der: &[u8]) {
        fs::write(self.path(name), pem::print(pem::CERTIFICATE, der) + "\n").unwrap();
    }

    fn der(&self, name: &str) -> Vec<u8> {
        pem::certificates(&fs::read(self.path(name)).unwrap()).unwrap().remove(0)
    }

    fn key(&self, name: &str) -> PrivateKey {
        PrivateKey::read(&fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// All that a certificate says, but for what may differ.
    fn text(&self, name: &str) -> String {
        let text =
            self.run(&format!("x509 -in {name} -noout -text -certopt no_serial,no_signame,no_sigdump"));
        let kept: Vec<_> = text.lines().filter(|line| !line.contains("Not After :")).collect();
        assert!(kept.len() > 8, "{text}");
        kept.join("\n")
    }

    fn verify(&self, authority: &str, certificate: &str) {
        let said = self.run(&format!("verify -x509_strict -CAfile {authority} {certificate}"));
        assert_eq!(said.trim(), format!("{certificate}: OK"));
    }
}

/// How OpenSSL is told to make a key, and in which form it writes it.
const KEYS: [(&str, &str, &str); 8] = [
    ("rsa2048-pkcs1", "genrsa -traditional -out", "2048"),
    ("rsa2048-pkcs8", "genrsa -out", "2048"),
    ("rsa4096-pkcs1", "genrsa -traditional -out", "4096"),
    ("p256-sec1", "ecparam -name prime256v1 -genkey -out", ""),
    ("p256-pkcs8", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out", ""),
    ("p384-sec1", "ecparam -name secp384r1 -genkey -noout -out", ""),
    ("p384-pkcs8", "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out", ""),
    ("rsa3072-pkcs8", "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out", ""),
];

/// As kubeadm writes them, with an extension that nobody here knows.
const AUTHORITY: &str = "\
basicConstraints=critical,CA:true
keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign
subjectKeyIdentifier=hash
subjectAltName=DNS:kubernetes
";
const LEAF: &str = "\
keyUsage=critical,digitalSignature,keyEncipherment
extendedKeyUsage=serverAuth,clientAuth
basicConstraints=critical,CA:false
authorityKeyIdentifier=keyid
1.3.6.1.4.1.99999.1=ASN1:UTF8String:unknown
subjectAltName=DNS:apiserver.cluster.local,DNS:kubernetes,IP:10.0.0.1,IP:fd00:0:0:0:0:0:0:1,email:a@b.c
";

#[test]
fn every_kind_of_key_signs_what_openssl_verifies() {
    let openssl = Openssl::new();
    fs::write(openssl.path("ca.ext"), AUTHORITY).unwrap();
    fs::write(openssl.path("leaf.ext"), LEAF).unwrap();
    for (kind, make, size) in KEYS {
        openssl.run(&format!("{make} {kind}.key {size}"));
    }
    let random = SystemRandom::new();
    for (index, (kind, ..)) in KEYS.into_iter().enumerate() {
        let (other, ..) = KEYS[(index + 3) % KEYS.len()];
        // What it was signed with before is of no interest.
        let hash =
            ["sha256", "sha384", "sha512"][if kind.starts_with("rsa") { index % 3 } else { index % 2 }];
        openssl.run(&format!("req -new -key {kind}.key -subj /CN=kubernetes -out ca.csr"));
        openssl.run(&format!(
            "x509 -req -in ca.csr -key {kind}.key -{hash} -days 3650 -extfile ca.ext -out ca.crt"
        ));
        openssl.run(&format!(
            "req -new -key {other}.key -subj /O=system:masters/CN=kube-apiserver -out leaf.csr"
        ));
        openssl.run(&format!(
            "x509 -req -in leaf.csr -CA ca.crt -CAkey {kind}.key -{hash} -days 365 -extfile leaf.ext -out leaf.crt"
        ));
        openssl.verify("ca.crt", "leaf.crt");
        let (ca, leaf) = (openssl.der("ca.crt"), openssl.der("leaf.crt"));
        let (ca, leaf) = (Certificate::read(&ca).unwrap(), Certificate::read(&leaf).unwrap());
        let key = openssl.key(&format!("{kind}.key"));
        assert!(leaf.is_signed_by(&ca) && ca.is_self_signed() && ca.is_authority() && !leaf.is_authority());
        assert!(key.belongs_to(&ca.public_key().unwrap(), &random), "{kind}");
        assert!(!key.belongs_to(&leaf.public_key().unwrap(), &random), "{kind} and {other}");
        let belongs = openssl.key(&format!("{other}.key")).belongs_to(&leaf.public_key().unwrap(), &random);
        assert!(belongs, "{other}");

        let change = Change { not_after: FAR, names: Vec::new() };
        let new_ca = reissue(&ca, &ca, &key, &change, &random).unwrap();
        let new_leaf = reissue(&leaf, &ca, &key, &change, &random).unwrap();
        openssl.write("new-ca.crt", &new_ca);
        openssl.write("new-leaf.crt", &new_leaf);
        // Old and new go together in any way.
        for (authority, certificate) in
            [("ca.crt", "new-leaf.crt"), ("new-ca.crt", "leaf.crt"), ("new-ca.crt", "new-leaf.crt")]
        {
            openssl.verify(authority, certificate);
        }
        for (old, new) in [("ca.crt", "new-ca.crt"), ("leaf.crt", "new-leaf.crt")] {
            assert_eq!(openssl.text(old), openssl.text(new), "{kind}");
        }
        let new_leaf = Certificate::read(&new_leaf).unwrap();
        assert_eq!(new_leaf.extensions().unwrap(), leaf.extensions().unwrap(), "byte for byte, and in order");
        let end = |name| openssl.run(&format!("x509 -in {name} -noout -enddate"));
        assert_eq!(end("new-leaf.crt"), "notAfter=Nov  6 00:00:00 2125 GMT\n");
        let serial = |name| openssl.run(&format!("x509 -in {name} -noout -serial"));
        assert_eq!(serial("ca.crt"), serial("new-ca.crt"), "what it has signed may name it by that");
        assert_ne!(serial("leaf.crt"), serial("new-leaf.crt"));
    }
}

#[test]
fn names_are_added_where_the_others_are() {
    let openssl = Openssl::new();
    fs::write(openssl.path("ca.ext"), AUTHORITY).unwrap();
    fs::write(openssl.path("leaf.ext"), LEAF).unwrap();
    openssl.run("ecparam -name prime256v1 -genkey -out ca.key");
    openssl.run("req -new -key ca.key -subj /CN=kubernetes -out ca.csr");
    openssl.run("x509 -req -in ca.csr -key ca.key -days 3650 -extfile ca.ext -out ca.crt");
    openssl.run("req -new -key ca.key -subj /CN=kube-apiserver -out leaf.csr");
    openssl.run("x509 -req -in leaf.csr -CA ca.crt -CAkey ca.key -days 365 -extfile leaf.ext -out leaf.crt");
    let (ca, leaf) = (openssl.der("ca.crt"), openssl.der("leaf.crt"));
    let (ca, leaf) = (Certificate::read(&ca).unwrap(), Certificate::read(&leaf).unwrap());
    let dns = |name: &str| AlternativeName::Dns(name.to_owned());
    let names = vec![dns("kubernetes"), dns("sealyun.com"), AlternativeName::Ip([10, 103, 97, 2].into())];
    let change = Change { not_after: leaf.not_after(), names };
    let new = reissue(&leaf, &ca, &openssl.key("ca.key"), &change, &SystemRandom::new()).unwrap();
    openssl.write("new.crt", &new);
    openssl.verify("ca.crt", "new.crt");
    let line = "DNS:apiserver.cluster.local, DNS:kubernetes, IP Address:10.0.0.1, IP Address:FD00:0:0:0:0:0:0:1, email:a@b.c";
    let text =
        openssl.text("leaf.crt").replace(line, &format!("{line}, DNS:sealyun.com, IP Address:10.103.97.2"));
    assert_eq!(openssl.text("new.crt"), text);
    assert!(openssl.run("x509 -in new.crt -noout -checkhost sealyun.com").contains("does match"));
}

fn authority(common_name: &str) -> (Vec<u8>, Issuer<'static, KeyPair>, PrivateKey) {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pair = KeyPair::generate().unwrap();
    let key = PrivateKey::read(pair.serialize_pem().as_bytes()).unwrap();
    let der = parameters.self_signed(&pair).unwrap().der().to_vec();
    (der, Issuer::new(parameters, pair), key)
}

#[test]
fn what_another_authority_has_made_is_not_reissued() {
    let (ca, issuer, key) = authority("kubernetes");
    let (other, _, other_key) = authority("kubernetes");
    let pair = KeyPair::generate().unwrap();
    let leaf = CertificateParams::default().signed_by(&pair, &issuer).unwrap().der().to_vec();
    let [ca, other, leaf] = [&ca, &other, &leaf].map(|der| Certificate::read(der).unwrap());
    let random = SystemRandom::new();
    let change = Change { not_after: FAR, names: Vec::new() };
    assert_eq!(reissue(&leaf, &other, &other_key, &change, &random), Err(Error::OtherIssuer));
    assert_eq!(reissue(&leaf, &ca, &other_key, &change, &random), Err(Error::OtherKey));
    let late = Change { not_after: 1 << 40, names: Vec::new() };
    assert_eq!(reissue(&leaf, &ca, &key, &late, &random), Err(Error::TooLate));
    assert!(reissue(&leaf, &ca, &key, &change, &random).is_ok());
}

#[test]
fn keys_that_are_none_are_refused_in_words() {
    let openssl = Openssl::new();
    let refusal =
        |file: &str| PrivateKey::read(&fs::read(openssl.path(file)).unwrap()).unwrap_err().to_string();
    openssl.run("genpkey -algorithm ED25519 -out ed.key");
    assert_eq!(refusal("ed.key"), "it is a key of the kind 1.3.101.112; RSA, P-256 and P-384 are known");
    openssl.run("ecparam -name secp521r1 -genkey -noout -out p521.key");
    assert_eq!(refusal("p521.key"), "it is a key of the kind 1.3.132.0.35; RSA, P-256 and P-384 are known");
    openssl.run("genrsa -traditional -out small.key 1024");
    assert_eq!(
        refusal("small.key"),
        "its block RSA PRIVATE KEY is no key: TooSmall; RSA keys have 2048 to 4096 bits"
    );
    openssl.run("genrsa -aes128 -passout pass:secret -out locked.key 2048");
    assert!(refusal("locked.key").ends_with("is encrypted; decrypt it first"));
    fs::write(openssl.path("none.key"), "nothing").unwrap();
    assert!(refusal("none.key").starts_with("there is no private key in it"));
}

/// A certificate as anybody may have made it.
fn any_leaf() -> impl Strategy<Value = CertificateParams> {
    let names = proptest::collection::vec("[a-z]{1,12}(\\.[a-z]{1,9}){0,3}", 0..5);
    let addresses = proptest::collection::vec(any::<std::net::IpAddr>(), 0..4);
    let custom = proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..3);
    let subject = ("[a-z:]{1,30}", proptest::option::of("[ -~é中]{1,20}"));
    (names, addresses, custom, subject, 1_975..2_060_i32, any::<[bool; 3]>()).prop_map(
        |(names, addresses, custom, (common, organization), year, [server, client, critical])| {
            let mut parameters = CertificateParams::new(names).unwrap();
            parameters.subject_alt_names.extend(addresses.into_iter().map(SanType::IpAddress));
            parameters.distinguished_name.push(DnType::CommonName, common);
            if let Some(organization) = organization {
                parameters.distinguished_name.push(DnType::OrganizationName, organization);
            }
            for (number, bytes) in (0..).zip(custom) {
                let mut extension =
                    CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, number], bytes);
                extension.set_criticality(critical);
                parameters.custom_extensions.push(extension);
            }
            if server {
                parameters.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
                parameters.key_usages.push(KeyUsagePurpose::KeyEncipherment);
            }
            if client {
                parameters.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
            }
            parameters.not_before = date_time_ymd(year, 1, 1);
            parameters.not_after = date_time_ymd(year + 1, 1, 1);
            parameters
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever it says, it says the same afterwards; only number, end and signature differ.
    #[test]
    fn a_reissued_certificate_says_the_same(leaf in any_leaf(), end in 1_900_000_000_u64..200_000_000_000) {
        let openssl = Openssl::new();
        let (ca, issuer, key) = authority("kubernetes");
        let pair = KeyPair::generate().unwrap();
        let old = leaf.signed_by(&pair, &issuer).unwrap().der().to_vec();
        let (ca, old) = (Certificate::read(&ca).unwrap(), Certificate::read(&old).unwrap());
        let change = Change { not_after: end, names: Vec::new() };
        let new = reissue(&old, &ca, &key, &change, &SystemRandom::new()).unwrap();
        let read = Certificate::read(&new).unwrap();
        prop_assert_eq!(read.not_after(), end);
        prop_assert_eq!(read.not_before(), old.not_before());
        prop_assert_eq!(read.extensions().unwrap(), old.extensions().unwrap());
        prop_assert!(read.is_signed_by(&ca));
        openssl.write("old.crt", leaf.signed_by(&pair, &issuer).unwrap().der());
        openssl.write("new.crt", &new);
        prop_assert_eq!(openssl.text("old.crt"), openssl.text("new.crt"));
        let said = openssl.run("x509 -in new.crt -noout -enddate -dateopt iso_8601");
        prop_assert!(said.starts_with(&format!("notAfter={} ", date(end))), "{}", said);
    }
}

proptest! {
    /// Files are of whoever wrote them.
    #[test]
    fn no_bytes_are_too_hard(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Certificate::read(&bytes);
        let _ = kubeconfig::Kubeconfig::read(&bytes);
        for label in ["RSA PRIVATE KEY", "EC PRIVATE KEY", "PRIVATE KEY"] {
            let _ = PrivateKey::read(pem::print(label, &bytes).as_bytes());
        }
    }

    /// A byte of a real certificate or key is another one, or the end is missing.
    #[test]
    fn no_damage_is_too_hard(place in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let (ca, issuer, key) = authority("kubernetes");
        let pair = KeyPair::generate().unwrap();
        let damage = |mut der: Vec<u8>| {
            let place = place.index(der.len());
            if cut { der.truncate(place) } else { der[place] = byte }
            der
        };
        let authority = Certificate::read(&ca).unwrap();
        let names = vec!["apiserver.cluster.local".to_owned()];
        let leaf = CertificateParams::new(names).unwrap().signed_by(&pair, &issuer).unwrap().der().to_vec();
        let damaged = damage(leaf.clone());
        if let Ok(certificate) = Certificate::read(&damaged) {
            let _ = (name(certificate.subject()), certificate.alternative_names(), certificate.is_authority());
            let change = Change { not_after: FAR, names: Vec::new() };
            let outcome = reissue(&certificate, &authority, &key, &change, &SystemRandom::new());
            prop_assert_eq!(outcome.is_ok(), damaged == leaf, "what was not signed is not signed now");
        }
        let key = damage(pair.serialize_der());
        let _ = PrivateKey::read(pem::print("PRIVATE KEY", &key).as_bytes());
    }
}
