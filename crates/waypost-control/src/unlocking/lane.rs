//! Limits on password checks: how many run at once, how many wait, and how many of those may come from one address. A
//! request over a limit is refused at once and holds nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::access::throttle::AddressKey;
use crate::unlocking::password::PasswordError;

/// How many places of a lane one address, and one network around it, may hold at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) address: usize,
    pub(crate) network: usize,
}

/// A lane. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    running: Arc<Semaphore>,
    places: Arc<Places>,
}

#[derive(Debug)]
struct Places {
    count_max: usize,
    share: Share,
    /// A std mutex: held for map accesses, never across an await.
    held: Mutex<Held>,
}

/// Who holds how many places. Whoever holds none is not in the maps, so that they are never larger than the lane.
#[derive(Debug, Default)]
struct Held {
    count: usize,
    addresses: HashMap<AddressKey, usize>,
    networks: HashMap<AddressKey, usize>,
}

/// A place in a lane, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    /// `None` where nobody's share is counted.
    holder: Option<AddressKey>,
}

impl Lane {
    pub(crate) fn new(at_once: usize, waiting_max: usize, share: Share) -> Self {
        let places = Places { count_max: at_once + waiting_max, share, held: Mutex::default() };
        Self { running: Arc::new(Semaphore::new(at_once)), places: Arc::new(places) }
    }

    /// Takes a place, of the share of `holder` where there is one.
    ///
    /// # Errors
    /// [`PasswordError::Busy`] where the lane is full or the holder has its share.
    pub(crate) fn enter(&self, holder: Option<AddressKey>) -> Result<Place, PasswordError> {
        if self.places.take(holder) {
            Ok(Place { places: Arc::clone(&self.places), holder })
        } else {
            Err(PasswordError::Busy)
        }
    }

    /// Waits for one's turn, which ends when the permit is dropped.
    ///
    /// # Errors
    /// Never while the lane is there.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit, PasswordError> {
        let turn = Arc::clone(&self.running).acquire_owned().await;
        turn.map_err(|error| PasswordError::Failed(error.to_string()))
    }
}

impl Places {
    fn take(&self, holder: Option<AddressKey>) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.count >= self.count_max {
            return false;
        }
        if let Some(address) = holder {
            let network = address.wider();
            // An address that is not known may be anybody's: it has the share of a network.
            let own_share = if address == AddressKey::Unknown { self.share.network } else { self.share.address };
            if count_of(&held.addresses, &address) >= own_share
                || count_of(&held.networks, &network) >= self.share.network
            {
                return false;
            }
            *held.addresses.entry(address).or_default() += 1;
            *held.networks.entry(network).or_default() += 1;
        }
        held.count += 1;
        true
    }

    fn give_back(&self, holder: Option<AddressKey>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.count = held.count.saturating_sub(1);
        if let Some(address) = holder {
            subtract_one(&mut held.addresses, &address);
            subtract_one(&mut held.networks, &address.wider());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.give_back(self.holder);
    }
}

fn count_of<K: Eq + Hash>(counts: &HashMap<K, usize>, key: &K) -> usize {
    counts.get(key).copied().unwrap_or(0)
}

fn subtract_one<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> AddressKey {
        AddressKey::of(Some(text.parse().expect("an address")))
    }

    fn entered(lane: &Lane, from: &[AddressKey]) -> Vec<Place> {
        from.iter().filter_map(|address| lane.enter(Some(*address)).ok()).collect()
    }

    #[test]
    fn an_address_and_its_network_have_shares() {
        let lane = Lane::new(1, 9, Share { address: 2, network: 5 });
        let own = entered(&lane, &[key("192.0.2.1"); 8]);
        assert_eq!(own.len(), 2);
        let neighbours: Vec<_> = (2..9).map(|host| key(&format!("192.0.2.{host}"))).collect();
        assert_eq!(entered(&lane, &neighbours).len(), 3, "five of the network");
        let rest = entered(&lane, &[key("2001:db8::1"), key("2001:db8::2"), key("2001:db8::3"), key("198.51.100.1")]);
        assert_eq!(rest.len(), 3, "a /64 is one address");
        assert_eq!(entered(&lane, &[AddressKey::Unknown; 8]).len(), 5, "nobody knows how many they are");
    }

    #[test]
    fn places_are_free_again_and_nothing_is_remembered() {
        let lane = Lane::new(1, 2, Share { address: 1, network: 2 });
        for _ in 0..5 {
            let held = entered(&lane, &[key("192.0.2.1"), key("192.0.2.2"), key("192.0.2.3"), key("198.51.100.1")]);
            assert_eq!(held.len(), 3);
            assert!(lane.enter(None).is_err(), "full");
        }
        let held = lane.places.held.lock().expect("lock");
        assert_eq!((held.count, held.addresses.len(), held.networks.len()), (0, 0, 0));
    }
}
