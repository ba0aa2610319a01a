//! The property collector: many objects' properties in one call, page by page.

use esx_vi_api::data::{
    AnySelectionSpec, ObjectSpec, PropertyFilterSpec, PropertySpec, RetrieveOptions, SelectionSpec,
    TraversalSpec,
};
use esx_vi_api::methods::{
    CancelRetrievePropertiesEx, ContinueRetrievePropertiesEx, RetrieveProperties,
    RetrievePropertiesEx,
};
use esx_vi_api::properties::{ObjectRow, Page, decode_page};
use esx_vi_api::{ApiVersion, Method, MoRef, schema, soap};

mod salvage;

use crate::client::Client;
use crate::error::{Error, Result};

/// How many objects a page may have. Hosts return fewer if their own limit is lower.
const PAGE_OBJECTS: i32 = 10_000;
/// More pages than this are no inventory but a host that never ends.
const MAX_PAGES: usize = 100_000;

/// What to retrieve: objects reached from a root, and properties by class.
///
/// ```
/// use esx_vi_api::MoRef;
/// use esx_vi_client::{Retrieval, traversal};
///
/// let host = MoRef::new("HostSystem", "ha-host");
/// let machines = Retrieval::from(&host)
///     .via([traversal("hostToVm", "HostSystem", "vm", [])])
///     .read("VirtualMachine", ["name", "runtime.powerState"]);
/// # let _ = machines;
/// ```
#[derive(Clone, Debug)]
pub struct Retrieval {
    roots: Vec<(MoRef, Vec<AnySelectionSpec>)>,
    read: Vec<(String, Vec<String>)>,
}

impl Retrieval {
    /// Begins at `root`, which is itself read if one of the classes fits it.
    pub fn from(root: &MoRef) -> Self {
        Self { roots: vec![(root.clone(), Vec::new())], read: Vec::new() }
    }

    /// Begins at `root`, too.
    #[must_use]
    pub fn and(mut self, root: &MoRef) -> Self {
        self.roots.push((root.clone(), Vec::new()));
        self
    }

    /// Follows these traversals from the root that was named last.
    #[must_use]
    pub fn via(mut self, select: impl IntoIterator<Item = AnySelectionSpec>) -> Self {
        if let Some((_, steps)) = self.roots.last_mut() {
            steps.extend(select);
        }
        self
    }

    /// Reads `paths` of every object of the class `kind` (or one derived from it) that is reached.
    #[must_use]
    pub fn read<P: Into<String>>(mut self, kind: &str, paths: impl IntoIterator<Item = P>) -> Self {
        self.read.push((kind.to_owned(), paths.into_iter().map(Into::into).collect()));
        self
    }

    pub(crate) fn spec(&self) -> PropertyFilterSpec {
        PropertyFilterSpec {
            prop_set: self
                .read
                .iter()
                .map(|(kind, paths)| PropertySpec {
                    type_: kind.clone(),
                    path_set: paths.clone(),
                    all: None,
                })
                .collect(),
            object_set: self
                .roots
                .iter()
                .map(|(root, steps)| ObjectSpec {
                    obj: root.clone(),
                    skip: Some(false),
                    select_set: steps.clone(),
                })
                .collect(),
            ..PropertyFilterSpec::default()
        }
    }

    /// Takes out what an API of `version` does not know; tells what that was.
    pub(crate) fn withhold(&mut self, version: ApiVersion) -> Vec<String> {
        let mut withheld = Vec::new();
        for (kind, paths) in &mut self.read {
            paths.retain(|path| match schema::property_path_since(kind, path) {
                Some(since) if since > version => {
                    withheld.push(format!("{kind}.{path} (since {since})"));
                    false
                }
                _ => true,
            });
        }
        withheld
    }

    /// Takes the path `path` out of every class; whether that changed anything.
    pub(crate) fn remove(&mut self, path: &str) -> bool {
        let before: usize = self.read.iter().map(|(_, paths)| paths.len()).sum();
        for (_, paths) in &mut self.read {
            paths.retain(|p| p != path);
        }
        self.read.iter().map(|(_, paths)| paths.len()).sum::<usize>() < before
    }
}

/// A step from objects of the class `kind` along their property `path`; `then` names the steps that
/// go on from there, by [`named`] or as further steps.
pub fn traversal(
    name: &str,
    kind: &str,
    path: &str,
    then: impl IntoIterator<Item = AnySelectionSpec>,
) -> AnySelectionSpec {
    TraversalSpec {
        name: Some(name.to_owned()),
        type_: kind.to_owned(),
        path: path.to_owned(),
        skip: Some(false),
        select_set: then.into_iter().collect(),
    }
    .into()
}

/// A step that is defined elsewhere in the same retrieval, by its name.
pub fn named(name: &str) -> AnySelectionSpec {
    SelectionSpec { name: Some(name.to_owned()) }.into()
}

/// What a retrieval found.
#[derive(Debug, Default)]
pub struct Retrieved {
    /// The objects, in the host's order.
    pub objects: Vec<ObjectRow>,
    /// Properties that were not asked for because the host's API does not know them.
    pub withheld: Vec<String>,
}

impl Retrieved {
    /// The objects of the class `kind` or one derived from it.
    pub fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a ObjectRow> {
        self.objects.iter().filter(move |row| schema::is_managed_subtype(&row.moref.kind, kind))
    }
}

impl Client {
    /// Retrieves properties: one request and one for each further page. Hosts of API 4.0 and older,
    /// which know no pages, answer in one. A property that the host does not have at all
    /// (`InvalidProperty`) is left out and the rest asked for again. A page that cannot be read is asked for once more, with all
    /// others; then the objects are read in ever smaller parts, until those are found that spoil it: they are rows with a
    /// [problem](ObjectRow::problem).
    ///
    /// # Errors
    /// Any [`Error`] but `InvalidProperty` for a path that was asked for.
    pub async fn retrieve(&self, retrieval: &Retrieval) -> Result<Retrieved> {
        let mut retrieval = retrieval.clone();
        let mut withheld = retrieval.withhold(self.api_version());
        let mut begun_again = false;
        loop {
            let session = self.session_number();
            match self.pages(&retrieval).await {
                // The session was opened again between two pages: the token was the old one's. Or the
                // connection broke; reading twice does no harm.
                Err(error) if !begun_again && session != self.session_number() => {
                    tracing::debug!(%error, "reading from the start again");
                    begun_again = true;
                }
                Err(error) if !begun_again && let Some(pause) = error.worth_repeating() => {
                    tracing::debug!(%error, "reading from the start again");
                    begun_again = true;
                    self.transport().pause(pause).await;
                }
                Err(error @ Error::Decode { .. }) if !begun_again => {
                    tracing::warn!(%error, "a page cannot be read, reading from the start again");
                    begun_again = true;
                }
                Err(error @ Error::Decode { .. }) => {
                    let objects = self.salvage(&retrieval, error).await?;
                    return Ok(Retrieved { objects, withheld });
                }
                Ok(objects) => {
                    for path in &withheld {
                        tracing::warn!(path, "not asked for: the host does not know it");
                    }
                    return Ok(Retrieved { objects, withheld });
                }
                Err(error) => match error.unknown_property() {
                    Some(path) if retrieval.remove(&path) => withheld.push(path),
                    _ => return Err(error),
                },
            }
        }
    }

    async fn pages(&self, retrieval: &Retrieval) -> Result<Vec<ObjectRow>> {
        let this = &self.content().property_collector;
        let spec_set = vec![retrieval.spec()];
        if self.api_version() < RetrievePropertiesEx::SINCE {
            return Ok(self.page(this, &RetrieveProperties { spec_set }).await?.objects);
        }
        let options = RetrieveOptions { max_objects: Some(PAGE_OBJECTS) };
        let mut page = self.page(this, &RetrievePropertiesEx { spec_set, options }).await?;
        let mut objects = std::mem::take(&mut page.objects);
        for _ in 0..MAX_PAGES {
            let Some(token) = page.token.take() else { return Ok(objects) };
            match self.page(this, &ContinueRetrievePropertiesEx { token: token.clone() }).await {
                Ok(next) => page = next,
                Err(error) => {
                    // The host keeps the rest until it is told otherwise; whether that worked is of no interest.
                    let _ = self.call(this, &CancelRetrievePropertiesEx { token }).await;
                    return Err(error);
                }
            }
            objects.append(&mut page.objects);
        }
        Err(Error::NotVi {
            endpoint: self.transport().endpoint().to_string(),
            method: ContinueRetrievePropertiesEx::NAME,
            found: "pages without end".to_owned(),
        })
    }

    async fn page<M: Method + Sync>(&self, this: &MoRef, method: &M) -> Result<Page> {
        let encoded = soap::encode_call(method, this, self.api_version());
        let options = self.transport().options();
        self.exchange(M::NAME, this, encoded, options, |body| decode_page(M::NAME, body)).await
    }

    /// Reads properties of one object. `None` if the host returns nothing for it.
    ///
    /// # Errors
    /// As [`Client::retrieve`]; a fault `ManagedObjectNotFound` if it is gone.
    pub async fn read(&self, object: &MoRef, paths: &[&str]) -> Result<Option<ObjectRow>> {
        let retrieval = Retrieval::from(object).read(&object.kind, paths.iter().copied());
        Ok(self.retrieve(&retrieval).await?.objects.into_iter().find(|row| row.moref == *object))
    }
}
