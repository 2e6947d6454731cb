//! A connection that breaks once in the middle of a large blob: how much is sent again?
//!
//! Two registries: the simulated one keeps what arrived, as the specification allows; the Docker registry 2.x gives an upload
//! up whose part was cut.

use tempfile::TempDir;

use crate::copy;
use crate::proxy::Proxy;

/// The blob, and where the connection breaks.
const BLOB_BYTES: usize = 256 * 1024 * 1024;
const CUT_AT: u64 = 200 * 1000 * 1000;

/// Bytes that were sent more than once, in MiB.
pub(crate) struct Again {
    pub(crate) release: f64,
    pub(crate) skopeo: Option<f64>,
}

/// Pushes to the registry at this address through a proxy that cuts once.
pub(crate) fn again(registry: &str) -> anyhow::Result<Again> {
    let dir = TempDir::new()?;
    copy::layout(dir.path(), 1, BLOB_BYTES)?;
    let image = copy::bytes(dir.path())?;
    let sent_again = |push: &dyn Fn(&str) -> anyhow::Result<copy::Cost>, name: &str| -> anyhow::Result<f64> {
        let proxy = Proxy::start(registry)?;
        proxy.cut_once(CUT_AT);
        push(&format!("127.0.0.1:{}/bench-reset-{}/{name}", proxy.port(), fastrand::u32(..)))?;
        #[expect(clippy::cast_precision_loss, reason = "some hundred millions")]
        let mib = proxy.sent().saturating_sub(image) as f64 / 1024.0 / 1024.0;
        Ok(mib)
    };
    let release = sent_again(&|repository| copy::release(dir.path(), repository), "release")?;
    // Some versions give up for good when their connection breaks; then there is no number of theirs.
    let skopeo = copy::has_skopeo()
        .then(|| sent_again(&|repository| copy::skopeo(dir.path(), repository), "skopeo"))
        .and_then(Result::ok);
    Ok(Again { release, skopeo })
}
