//! What every call looks up and hardly any adds to.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;

type Things<Key, T> = HashMap<Key, Arc<T>, RandomState>;

/// Things by key, each made when it is asked for first. Who reads writes nothing that others read, not even a lock or a
/// count; who adds one copies the list.
#[derive(Debug)]
pub struct Shelf<Key, T>(ArcSwap<Things<Key, T>>);

impl<Key, T> Default for Shelf<Key, T> {
    fn default() -> Self {
        Self(ArcSwap::default())
    }
}

impl<Key: Copy + Eq + Hash, T> Shelf<Key, T> {
    /// Shows a thing, if it is there.
    pub fn see<Seen>(&self, key: Key, see: impl FnOnce(&T) -> Option<Seen>) -> Option<Seen> {
        self.0.load().get(&key).and_then(|thing| see(thing))
    }

    /// A thing, and for all the same one.
    pub fn get(&self, key: Key, make: impl FnOnce() -> T) -> Arc<T> {
        if let Some(thing) = self.0.load().get(&key) {
            return thing.clone();
        }
        let new = Arc::new(make());
        self.0.rcu(|things| {
            let mut things = Things::clone(things);
            things.entry(key).or_insert_with(|| new.clone());
            things
        });
        self.0.load().get(&key).cloned().unwrap_or(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_come_at_once_get_the_same() {
        for _ in 0..50 {
            let shelf = Shelf::default();
            let barrier = std::sync::Barrier::new(8);
            let all: Vec<_> = std::thread::scope(|scope| {
                let ask = |_| {
                    scope.spawn(|| {
                        barrier.wait();
                        [1, 2, 3].map(|key| shelf.get(key, || key * 10))
                    })
                };
                let asking: Vec<_> = (0..8).map(ask).collect();
                asking.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            for things in &all {
                assert_eq!(things.each_ref().map(|thing| **thing), [10, 20, 30]);
                assert!(things.iter().zip(&all[0]).all(|(one, other)| Arc::ptr_eq(one, other)));
            }
            assert_eq!((shelf.see(1, |thing| Some(*thing)), shelf.see(4, |thing| Some(*thing))), (Some(10), None));
        }
    }
}
