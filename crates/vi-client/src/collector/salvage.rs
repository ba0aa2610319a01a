//! Reading what can be read when an object spoils the page that it stands on.

use esx_vi_api::MoRef;
use esx_vi_api::properties::ObjectRow;

use super::Retrieval;
use crate::client::Client;
use crate::error::{Error, Result};

/// Most requests for it: some dozens of spoilt objects among some thousands.
const MAX_REQUESTS: usize = 400;

impl Retrieval {
    /// The same objects, of which nothing is read: no value of theirs can spoil that.
    fn bare(&self) -> Self {
        let mut bare = self.clone();
        bare.read.iter_mut().for_each(|(_, paths)| paths.clear());
        bare
    }

    /// The same properties of these objects and no others.
    fn of_objects(&self, objects: &[MoRef]) -> Self {
        let roots = objects.iter().map(|object| (object.clone(), Vec::new())).collect();
        Self { roots, read: self.read.clone() }
    }
}

impl Client {
    /// Reads the objects of a retrieval in halves, halves of halves and so on as far as that is necessary. `error` is what is
    /// wrong with reading them together, and what is returned if this does not help.
    pub(super) async fn salvage(
        &self,
        retrieval: &Retrieval,
        error: Error,
    ) -> Result<Vec<ObjectRow>> {
        tracing::warn!(%error, "a page cannot be read, looking for the objects that spoil it");
        let Ok(objects) = self.pages(&retrieval.bare()).await else { return Err(error) };
        let objects: Vec<MoRef> = objects.into_iter().map(|row| row.moref).collect();
        let mut rows = Vec::with_capacity(objects.len());
        let mut parts = vec![&objects[..]];
        let mut requests = 0;
        while let Some(part) = parts.pop() {
            if requests == MAX_REQUESTS {
                return Err(error);
            }
            requests += 1;
            match (self.pages(&retrieval.of_objects(part)).await, part) {
                (Ok(read), _) => rows.extend(read),
                (Err(spoilt @ Error::Decode { .. }), [object]) => {
                    let problem = std::error::Error::source(&spoilt)
                        .map_or_else(|| spoilt.to_string(), ToString::to_string);
                    rows.push(ObjectRow::unreadable(object.clone(), problem));
                }
                (Err(Error::Decode { .. }), _) => {
                    // The first half is read first: the host's order is kept.
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                (Err(other), _) => return Err(other),
            }
        }
        Ok(rows)
    }
}
