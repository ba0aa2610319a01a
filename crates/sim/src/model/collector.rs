//! The property collector: which objects a filter selects, and their properties.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use esx_vi_api::schema;
use esx_vi_api::{ApiVersion, Array, MoRef, Object, Value};

use super::context::{Context, localized};
use super::fault::Fault;
use super::path::PropertyPath;
use super::tree::objects;

/// A `PropertyFilterSpec`, checked.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    properties: Vec<PropertySet>,
    roots: Vec<Root>,
    traversals: Vec<Traversal>,
    report_missing: bool,
}

#[derive(Debug, Clone)]
struct PropertySet {
    class: String,
    all: bool,
    paths: Vec<PropertyPath>,
}

#[derive(Debug, Clone)]
struct Root {
    object: MoRef,
    skip: bool,
    select: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Traversal {
    class: String,
    path: PropertyPath,
    skip: bool,
    select: Vec<usize>,
}

/// The selected properties of an object: those that are set, and those that the caller may not read.
#[derive(Debug, Default)]
pub(crate) struct Values {
    pub(crate) set: Vec<(String, Value)>,
    pub(crate) refused: Vec<(String, Fault)>,
}

/// What is left of a retrieval after a page.
#[derive(Debug, Clone)]
pub(crate) struct Pager {
    rest: Vec<(Arc<Selection>, MoRef)>,
    page: usize,
}

/// Resolves names while the traversals of one filter are read. A name may stand before its definition.
struct Names<'a> {
    by_name: HashMap<&'a str, usize>,
    pending: Vec<(Owner, &'a str)>,
}

#[derive(Clone, Copy)]
enum Owner {
    Root(usize),
    Traversal(usize),
}

impl Selection {
    /// Reads a `PropertyFilterSpec`.
    ///
    /// # Errors
    /// `InvalidProperty` for a path that its class does not have in this dialect, `InvalidArgument` for an unknown class
    /// or a name without a definition.
    pub(crate) fn parse(spec: &Value, dialect: ApiVersion) -> Result<Self, Fault> {
        let spec = spec.as_object().ok_or_else(|| Fault::invalid_argument("specSet"))?;
        let mut selection = Self {
            properties: Vec::new(),
            roots: Vec::new(),
            traversals: Vec::new(),
            report_missing: flag(spec, "reportMissingObjectsInResults"),
        };
        for set in members(spec, "propSet") {
            let class = class(set, "propSet.type", dialect)?;
            let paths = members(set, "pathSet")
                .iter()
                .filter_map(|path| path.as_str())
                .map(|path| PropertyPath::parse(class, path, dialect))
                .collect::<Result<_, _>>()?;
            selection.properties.push(PropertySet {
                class: class.to_owned(),
                all: flag_of(set, "all"),
                paths,
            });
        }
        let mut names = Names { by_name: HashMap::new(), pending: Vec::new() };
        for root in members(spec, "objectSet") {
            let object =
                root.as_object().and_then(|root| root.get("obj")).and_then(Value::as_moref);
            let object = object.ok_or_else(|| Fault::invalid_argument("objectSet.obj"))?.clone();
            let index = selection.roots.len();
            selection.roots.push(Root { object, skip: flag_of(root, "skip"), select: Vec::new() });
            selection.read_select_set(root, Owner::Root(index), &mut names, dialect)?;
        }
        for (owner, name) in std::mem::take(&mut names.pending) {
            let target = *names
                .by_name
                .get(name)
                .ok_or_else(|| Fault::invalid_argument("selectSet.name"))?;
            selection.select_of(owner).push(target);
        }
        Ok(selection)
    }

    fn select_of(&mut self, owner: Owner) -> &mut Vec<usize> {
        match owner {
            Owner::Root(index) => &mut self.roots[index].select,
            Owner::Traversal(index) => &mut self.traversals[index].select,
        }
    }

    /// Reads the `selectSet` of an object or traversal spec. The depth is bounded by that of the request.
    fn read_select_set<'a>(
        &mut self,
        of: &'a Value,
        owner: Owner,
        names: &mut Names<'a>,
        dialect: ApiVersion,
    ) -> Result<(), Fault> {
        for spec in members(of, "selectSet") {
            let Some(object) = spec.as_object() else { continue };
            let name = object.str("name");
            if object.type_name != "TraversalSpec" {
                let name = name.ok_or_else(|| Fault::invalid_argument("selectSet.name"))?;
                names.pending.push((owner, name));
                continue;
            }
            let class = class(spec, "selectSet.type", dialect)?;
            let path =
                object.str("path").ok_or_else(|| Fault::invalid_argument("selectSet.path"))?;
            let path = PropertyPath::parse(class, path, dialect)?;
            let index = self.traversals.len();
            self.traversals.push(Traversal {
                class: class.to_owned(),
                path,
                skip: flag(object, "skip"),
                select: Vec::new(),
            });
            self.select_of(owner).push(index);
            if let Some(name) = name {
                names.by_name.insert(name, index);
            }
            self.read_select_set(spec, Owner::Traversal(index), names, dialect)?;
        }
        Ok(())
    }

    /// The references of the root objects.
    pub(crate) fn roots(&self) -> impl Iterator<Item = &MoRef> {
        self.roots.iter().map(|root| &root.object)
    }

    /// Whether objects are reached beyond the roots.
    pub(crate) fn traverses(&self) -> bool {
        !self.traversals.is_empty()
    }

    /// The selected objects, each once, in the order of a walk that goes down before it goes on.
    ///
    /// # Errors
    /// `ManagedObjectNotFound` for a root that does not exist, unless the spec wants those passed over.
    pub(crate) fn objects(&self, context: &Context<'_>) -> Result<Vec<MoRef>, Fault> {
        let mut selected = Vec::new();
        let mut seen: HashSet<MoRef> = HashSet::new();
        let mut visited: HashSet<(MoRef, usize)> = HashSet::new();
        for root in &self.roots {
            if !context.exists(&root.object) {
                if self.report_missing {
                    continue;
                }
                return Err(Fault::object_not_found(&root.object));
            }
            // A stack of our own: how deep a walk goes is the caller's choice.
            let mut stack = vec![(root.object.clone(), root.skip, root.select.as_slice())];
            while let Some((object, skip, select)) = stack.pop() {
                let wanted = !skip && self.properties.iter().any(|set| is_a(&object, &set.class));
                if wanted && seen.insert(object.clone()) {
                    selected.push(object.clone());
                }
                let mut next = Vec::new();
                for &index in select {
                    let traversal = &self.traversals[index];
                    if !is_a(&object, &traversal.class) || !visited.insert((object.clone(), index))
                    {
                        continue;
                    }
                    let Ok(Some(value)) = context.read(&object, &traversal.path) else { continue };
                    for target in value.items().iter().filter_map(Value::as_moref) {
                        if context.exists(target) {
                            next.push((
                                target.clone(),
                                traversal.skip,
                                traversal.select.as_slice(),
                            ));
                        }
                    }
                }
                stack.extend(next.into_iter().rev());
            }
        }
        Ok(selected)
    }

    /// The values of an object's selected properties.
    pub(crate) fn values(&self, context: &Context<'_>, object: &MoRef) -> Values {
        let mut values = Values::default();
        for set in self.properties.iter().filter(|set| is_a(object, &set.class)) {
            let all = if set.all { context.all_paths(&object.kind) } else { Vec::new() };
            for path in all.iter().chain(&set.paths) {
                if values.set.iter().any(|(name, _)| name == path.text()) {
                    continue;
                }
                match context.read(object, path) {
                    Ok(Some(value)) => values.set.push((path.text().to_owned(), value)),
                    Ok(None) => {}
                    Err(fault) => values.refused.push((path.text().to_owned(), fault)),
                }
            }
        }
        values
    }

    /// `ObjectContent`.
    fn content(&self, context: &Context<'_>, object: &MoRef) -> Object {
        let values = self.values(context, object);
        let mut content = Object::new("ObjectContent").with("obj", object);
        if !values.set.is_empty() {
            let properties = values.set.into_iter().map(|(name, value)| {
                Object::new("DynamicProperty").with("name", name).with("val", value)
            });
            content.set("propSet", objects("DynamicProperty", properties));
        }
        if !values.refused.is_empty() {
            content.set("missingSet", missing_set(&values.refused));
        }
        content
    }
}

/// The refused properties as `MissingProperty` items.
pub(crate) fn missing_set(missing: &[(String, Fault)]) -> Value {
    let items = missing.iter().map(|(path, fault)| {
        Object::new("MissingProperty").with("path", path.as_str()).with("fault", localized(fault))
    });
    objects("MissingProperty", items)
}

impl Pager {
    /// Everything that `selections` select, `page` objects at a time.
    ///
    /// # Errors
    /// As [`Selection::objects`].
    pub(crate) fn new(
        context: &Context<'_>,
        selections: Vec<Selection>,
        page: usize,
    ) -> Result<Self, Fault> {
        let mut rest = Vec::new();
        for selection in selections {
            let selection = Arc::new(selection);
            let objects = selection.objects(context)?;
            rest.extend(objects.into_iter().map(|object| (Arc::clone(&selection), object)));
        }
        // Pages are taken from the end.
        rest.reverse();
        Ok(Self { rest, page: page.max(1) })
    }

    /// The next page of `ObjectContent`; objects that have gone meanwhile are left out.
    pub(crate) fn next(&mut self, context: &Context<'_>) -> Array {
        let start = self.rest.len().saturating_sub(self.page);
        let page = self.rest.split_off(start);
        let contents = page
            .into_iter()
            .rev()
            .filter(|(_, object)| context.exists(object))
            .map(|(selection, object)| selection.content(context, &object).into())
            .collect();
        Array::new("ObjectContent", contents)
    }

    /// Whether nothing is left.
    pub(crate) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }
}

fn is_a(object: &MoRef, class: &str) -> bool {
    schema::is_managed_subtype(&object.kind, class)
}

/// The items of a repeated member.
fn members<'a>(of: impl Into<Members<'a>>, name: &str) -> &'a [Value] {
    of.into().0.and_then(|object| object.get(name)).map_or(&[], Value::items)
}

struct Members<'a>(Option<&'a Object>);

impl<'a> From<&'a Value> for Members<'a> {
    fn from(value: &'a Value) -> Self {
        Self(value.as_object())
    }
}

impl<'a> From<&'a Object> for Members<'a> {
    fn from(object: &'a Object) -> Self {
        Self(Some(object))
    }
}

fn flag(object: &Object, name: &str) -> bool {
    object.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn flag_of(value: &Value, name: &str) -> bool {
    value.as_object().is_some_and(|object| flag(object, name))
}

/// The member `type`: a class of managed objects that the dialect knows.
fn class<'a>(spec: &'a Value, parameter: &str, dialect: ApiVersion) -> Result<&'a str, Fault> {
    let class = spec.as_object().and_then(|object| object.str("type")).unwrap_or_default();
    let known = class == "ManagedObject"
        || schema::managed_type(class).is_some_and(|class| class.since <= dialect);
    if known { Ok(class) } else { Err(Fault::invalid_argument(parameter)) }
}
