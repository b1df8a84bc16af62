//! `VirtualIP` objects in memory, with the API server's rules: names are unique, versions are preconditions.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use portolan_core::ids::ResourceVersion;
use portolan_metal::port::{StoreError, VirtualIps};
use portolan_metal::vip::Vip;

/// The objects. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    stored: Arc<Mutex<Stored>>,
    /// How many writes of this handle still have an effect.
    left: Option<Arc<Mutex<u64>>>,
}

#[derive(Debug, Default)]
struct Stored {
    vips: BTreeMap<IpAddr, Vip>,
    version: u64,
}

impl Memory {
    /// The same objects, for a process that is killed after so many writes.
    pub(crate) fn killed_after(&self, writes: u64) -> Self {
        Self { stored: Arc::clone(&self.stored), left: Some(Arc::new(Mutex::new(writes))) }
    }

    pub(crate) fn all(&self) -> Vec<Vip> {
        self.stored.lock().unwrap().vips.values().cloned().collect()
    }

    /// As somebody with kubectl writes it.
    pub(crate) fn put(&self, vip: Vip) {
        let mut stored = self.stored.lock().unwrap();
        let vip = stored.versioned(vip);
        stored.vips.insert(vip.address, vip);
    }

    fn write<T>(&self, write: impl FnOnce(&mut Stored) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if let Some(left) = &self.left {
            let mut left = left.lock().unwrap();
            if *left == 0 {
                return Err(StoreError::Unavailable { message: "the process is dead".to_owned(), after: None });
            }
            *left -= 1;
        }
        write(&mut self.stored.lock().unwrap())
    }
}

impl Stored {
    fn versioned(&mut self, vip: Vip) -> Vip {
        self.version += 1;
        Vip { version: Some(ResourceVersion::new(self.version.to_string())), ..vip }
    }

    fn check(&self, vip: &Vip) -> Result<(), StoreError> {
        match self.vips.get(&vip.address) {
            Some(stored) if stored.version == vip.version => Ok(()),
            Some(_) | None => Err(StoreError::Conflict),
        }
    }
}

impl VirtualIps for Memory {
    fn get(&self, address: IpAddr) -> BoxFuture<'_, Result<Option<Vip>, StoreError>> {
        async move { Ok(self.stored.lock().unwrap().vips.get(&address).cloned()) }.boxed()
    }

    fn create(&self, vip: &Vip) -> BoxFuture<'_, Result<Vip, StoreError>> {
        let vip = vip.clone();
        async move {
            self.write(|stored| {
                if stored.vips.contains_key(&vip.address) {
                    return Err(StoreError::Exists);
                }
                let vip = stored.versioned(vip);
                stored.vips.insert(vip.address, vip.clone());
                Ok(vip)
            })
        }
        .boxed()
    }

    fn replace(&self, vip: &Vip) -> BoxFuture<'_, Result<Vip, StoreError>> {
        let vip = vip.clone();
        async move {
            self.write(|stored| {
                stored.check(&vip)?;
                let vip = stored.versioned(vip);
                stored.vips.insert(vip.address, vip.clone());
                Ok(vip)
            })
        }
        .boxed()
    }

    fn delete(&self, vip: &Vip) -> BoxFuture<'_, Result<(), StoreError>> {
        let vip = vip.clone();
        async move {
            self.write(|stored| {
                if stored.vips.contains_key(&vip.address) {
                    stored.check(&vip)?;
                    stored.vips.remove(&vip.address);
                }
                Ok(())
            })
        }
        .boxed()
    }
}
