//! The network addresses of pods: given in order, given again only after all others.

use std::sync::Arc;

use foldhash::HashMap;

/// How many addresses there are: 10.244.0.0 to 10.247.255.255.
const COUNT: u32 = 4 << 16;

/// Who has which address.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    last: u32,
    /// Never iterated, so that its order does not matter.
    owners: HashMap<Arc<str>, Arc<str>>,
}

impl Addresses {
    /// A free address for the pod with that uid.
    pub(super) fn take(&mut self, uid: &Arc<str>) -> Arc<str> {
        loop {
            self.last = (self.last + 1) % COUNT;
            let (high, middle, low) = (244 + (self.last >> 16), (self.last >> 8) & 0xff, self.last & 0xff);
            let is_host = (1..255).contains(&low);
            let ip: Arc<str> = format!("10.{high}.{middle}.{low}").into();
            // With every address taken somebody has to share; no cluster here comes near that.
            if is_host && (!self.owners.contains_key(&ip) || self.owners.len() >= COUNT as usize / 2) {
                self.owners.insert(Arc::clone(&ip), Arc::clone(uid));
                return ip;
            }
        }
    }

    /// The address a pod has already.
    pub(super) fn claim(&mut self, ip: &str, uid: &Arc<str>) -> Arc<str> {
        let ip: Arc<str> = ip.into();
        self.owners.insert(Arc::clone(&ip), Arc::clone(uid));
        ip
    }

    pub(super) fn give_back(&mut self, ip: &str) {
        self.owners.remove(ip);
    }

    /// The uid of the pod that has it.
    pub(super) fn owner(&self, ip: &str) -> Option<&Arc<str>> {
        self.owners.get(ip)
    }
}
