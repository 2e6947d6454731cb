//! What keys are read, what they sign, and what is said of texts that are none.

use release_core::Secret;

use super::*;
use crate::supply::samples::{PUBLIC, SECRET};

const SEC1: &str = "-----BEGIN EC PRIVATE KEY-----\n\
MHcCAQEEIMmvqdhFunUWa1whV2ex1pNOUMPbNuibEnuKYisSD2choAoGCCqGSM49\n\
AwEHoUQDQgAEYP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Z5A/4QCLi8\n\
maQa6elWKLxk8vGyDC1+n1F3o8KU1EYimQ==\n\
-----END EC PRIVATE KEY-----\n\
";

/// A public key of the curve P-384.
const OTHER_CURVE: &str = "-----BEGIN PUBLIC KEY-----\n\
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEkCVbdBWMUxtZNhxCKhy5LrNXZXfS+kRr\n\
/zhXve9a3edwXjG8R87o6jseRJoUwZ4s45abdWSy5mFfTW4MTHMObhzmCEw1a4vP\n\
3pK78UKJ8I2YfOqlKxtDgZC8NVvunPv3\n\
-----END PUBLIC KEY-----\n\
";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn signing() -> SigningKey {
    SigningKey::from_pem(&Secret::new(SECRET)).unwrap()
}

/// [RFC 6979](https://www.rfc-editor.org/rfc/rfc6979#appendix-A.2.5), its signature of `sample`.
#[test]
fn the_same_bytes_have_the_same_signature_that_of_the_standard() {
    let expected = "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
                    022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
    for _ in 0..2 {
        assert_eq!(hex(&signing().sign(b"sample")), expected);
    }
}

#[test]
fn what_openssl_signed_is_verified_and_nothing_else() {
    let signature = STANDARD
        .decode("MEQCIBvlxUtJCCLlJ+Dx1cBzptjpJbtPIyj9MMFSPwOyse9IAiBJl5OEQv2NirYMATJVKMM0KxwVuZvD50Dpmh+jU587VA==")
        .unwrap();
    let key = VerifyingKey::from_pem(PUBLIC).unwrap();
    assert!(key.verifies(b"openssl signed this", &signature));
    assert!(!key.verifies(b"openssl signed that", &signature));
    assert!(!key.verifies(b"openssl signed this", &signature[1..]));
    assert!(!SigningKey::generate().verifying_key().verifies(b"openssl signed this", &signature));
}

#[test]
fn keys_are_read_in_every_form_openssl_writes() {
    // `openssl ecparam -genkey` writes this in front.
    let with_parameters =
        format!("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{SEC1}");
    for pem in [SECRET, SEC1, &with_parameters, &SECRET.replace('\n', "\r\n"), &format!("\n{SECRET}\n\n")] {
        let key = SigningKey::from_pem(&Secret::new(pem)).unwrap();
        assert_eq!(key.verifying_key().to_pem().unwrap(), PUBLIC);
    }
    // What `openssl pkey -pubin -outform DER | sha256sum` says, in base 64.
    assert_eq!(signing().verifying_key().hint(), "Wnp4zKSg9CDZvGK7Zpw8J1njn3I9OuENy+DwgVoH7NQ=");
}

#[test]
fn a_new_key_is_written_and_read_back() {
    let key = SigningKey::generate();
    let again = SigningKey::from_pem(&key.to_pem().unwrap()).unwrap();
    assert_eq!(again.verifying_key(), key.verifying_key());
    assert_ne!(SigningKey::generate().verifying_key(), key.verifying_key());
}

#[test]
fn what_is_no_key_is_called_what_it_is_and_never_shown() {
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----";
    let cosign = encrypted.replace("PRIVATE", "SIGSTORE PRIVATE");
    let sec1 = SEC1.replacen('\n', "\nProc-Type: 4,ENCRYPTED\n", 1);
    let broken = SECRET.replace("MIGH", "MIGG");
    for (pem, expected) in [
        ("c2VjcmV0", "it is no PEM: there is no line `-----BEGIN …-----`"),
        (
            encrypted,
            "it is encrypted (`ENCRYPTED PRIVATE KEY`), and there is nobody here to ask for the password",
        ),
        (
            &cosign,
            "it is encrypted (`ENCRYPTED SIGSTORE PRIVATE KEY`), and there is nobody here to ask for the password",
        ),
        (&sec1, "it is encrypted (`EC PRIVATE KEY`), and there is nobody here to ask for the password"),
        (PUBLIC, "it is a `PUBLIC KEY`, and a private key is needed"),
        (&broken, "it is no ECDSA key of the curve P-256"),
    ] {
        let error = SigningKey::from_pem(&Secret::new(pem)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    for (pem, expected) in [
        (SECRET, "it is a `PRIVATE KEY`, and a public key is needed"),
        (OTHER_CURVE, "it is no ECDSA key of the curve P-256"),
    ] {
        assert_eq!(VerifyingKey::from_pem(pem).unwrap_err().to_string(), expected);
    }
    let shown = format!("{:?}", signing());
    assert_eq!(shown, "SigningKey(Wnp4zKSg9CDZvGK7Zpw8J1njn3I9OuENy+DwgVoH7NQ=, …)");
}
