//! What one caller can see: the inventory, and the objects of its session.

use esx_vi_api::{ApiVersion, MoRef, Object, Value, schema};

use super::fault::Fault;
use super::inventory::Inventory;
use super::path::PropertyPath;
use super::session::{Session, Sessions};
use super::time::Timestamp;
use super::tree::{fit, references, strings};
use super::{Denied, service};

/// The newest dialect: nothing has to be made to fit.
const NEWEST: ApiVersion = ApiVersion::new(8, 0, 2, 0);

pub(crate) struct Context<'a> {
    pub(crate) inventory: &'a Inventory,
    pub(crate) sessions: &'a Sessions,
    pub(crate) session: Option<&'a Session>,
    pub(crate) denied: &'a [Denied],
    pub(crate) dialect: ApiVersion,
    pub(crate) now: Timestamp,
}

impl Context<'_> {
    /// Whether the caller can see an object with this reference.
    pub(crate) fn exists(&self, moref: &MoRef) -> bool {
        match moref.kind.as_str() {
            "ServiceInstance" => *moref == service::instance(),
            "ContainerView" | "ListView" => {
                self.session.is_some_and(|s| s.views.contains_key(&moref.value))
            }
            "PropertyFilter" => self.session.is_some_and(|session| {
                session
                    .collectors
                    .values()
                    .any(|collector| collector.filter(&moref.value).is_some())
            }),
            "PropertyCollector" => {
                self.inventory.get(moref).is_some()
                    || self
                        .session
                        .is_some_and(|session| session.collectors.contains_key(&moref.value))
            }
            _ => self.inventory.get(moref).is_some(),
        }
    }

    /// The value at a path: unset, or refused.
    ///
    /// # Errors
    /// `NoPermission` if the caller may not read it.
    pub(crate) fn read(&self, moref: &MoRef, path: &PropertyPath) -> Result<Option<Value>, Fault> {
        if self.denied.iter().any(|denied| denied.covers(moref, path.text())) {
            return Err(Fault::no_permission(moref));
        }
        if let Some(machine) = self.inventory.machine(moref)
            && let Some(value) = machine.leaf(self.inventory, path.text())
        {
            return Ok(value);
        }
        let value = self.property(moref, path.first()).and_then(|value| path.follow(value));
        Ok(value.map(|mut value| {
            if self.dialect < NEWEST {
                fit(&mut value, self.dialect);
            }
            value
        }))
    }

    /// A whole property, or nothing if it is unset.
    pub(crate) fn property(&self, moref: &MoRef, name: &str) -> Option<Value> {
        match moref.kind.as_str() {
            "ServiceInstance" => self.inventory.service_property(name, self.now.date_time()),
            "LicenseManager" if name == "licenses" => Some(self.inventory.licenses()),
            "SessionManager" => self.session_property(name),
            "ContainerView" | "ListView" => self.view_property(moref, name),
            "PropertyCollector" => {
                let session = self.session?;
                let filters =
                    session.collectors.get(&moref.value).map(|collector| collector.filter_morefs());
                (name == "filter").then(|| references(filters.unwrap_or_default().iter()))
            }
            "PropertyFilter" => {
                let filter =
                    self.session?.collectors.values().find_map(|item| item.filter(&moref.value))?;
                match name {
                    "spec" => Some(filter.spec.clone().into()),
                    "partialUpdates" => Some(filter.partial_updates.into()),
                    _ => None,
                }
            }
            _ => self.inventory.property(moref, name),
        }
    }

    fn session_property(&self, name: &str) -> Option<Value> {
        Some(match name {
            "currentSession" => self.session?.user_session().into(),
            "sessionList" => {
                self.session?;
                super::tree::objects("UserSession", self.sessions.iter().map(Session::user_session))
            }
            "message" => "".into(),
            "messageLocaleList" | "supportedLocaleList" => strings(["en"]),
            "defaultLocale" => "en".into(),
            _ => return None,
        })
    }

    fn view_property(&self, moref: &MoRef, name: &str) -> Option<Value> {
        let view = self.session?.views.get(&moref.value)?;
        match name {
            "view" => Some(references(view.members(self.inventory).iter())),
            "container" => view.container().map(Value::from),
            "type" => view.types().map(|types| strings(types.iter().map(String::as_str))),
            "recursive" => view.recursive().map(Value::from),
            _ => None,
        }
    }

    /// The paths of all properties of an object's class in the dialect spoken.
    pub(crate) fn all_paths(&self, kind: &str) -> Vec<PropertyPath> {
        schema::properties(kind)
            .filter_map(|property| PropertyPath::parse(kind, property.name, self.dialect).ok())
            .collect()
    }
}

/// `LocalizedMethodFault`.
pub(crate) fn localized(fault: &Fault) -> Object {
    Object::new("LocalizedMethodFault")
        .with("fault", fault.detail.clone())
        .with("localizedMessage", fault.message.as_str())
}
