//! The key of the tests: that of [RFC 6979](https://www.rfc-editor.org/rfc/rfc6979#appendix-A.2.5), which everybody knows.

use release_core::Secret;

use super::SigningKey;

pub(crate) const SECRET: &str = "-----BEGIN PRIVATE KEY-----\n\
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgya+p2EW6dRZrXCFX\n\
Z7HWk05Qw9s26JsSe4piKxIPZyGhRANCAARg/tS6JVqdMclh63TGNW1owEm4kjth\n\
+mzmaWIuYPKftnkD/hAIuLyZpBrp6VYovGTy8bIMLX6fUXejwpTURiKZ\n\
-----END PRIVATE KEY-----\n\
";

pub(crate) const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\n\
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYP7UuiVanTHJYet0xjVtaMBJuJI7\n\
Yfps5mliLmDyn7Z5A/4QCLi8maQa6elWKLxk8vGyDC1+n1F3o8KU1EYimQ==\n\
-----END PUBLIC KEY-----\n\
";

pub(crate) fn key() -> SigningKey {
    SigningKey::from_pem(&Secret::new(SECRET)).expect("the key of the standard")
}
