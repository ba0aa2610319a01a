//! The model without sockets.

mod collector;
mod inventory;
mod leases;
mod network;
mod operations;
mod properties;
mod search;
mod sessions;
mod storage;
mod tasks;
mod updates;

use std::time::Duration;

use esx_vi_api::schema::{self, WireType};
use esx_vi_api::soap::Request;
use esx_vi_api::{ApiVersion, Array, MoRef, Object, Value};

use super::*;
use crate::model::context::Context;
use crate::model::inventory::Item;
use crate::model::path::PropertyPath;

const NOW: Timestamp = Timestamp::from_secs(1_750_000_000);
const NEWEST: ApiVersion = ApiVersion::new(8, 0, 2, 0);

fn config(preset: Preset) -> Config {
    Config {
        preset,
        api_version: NEWEST,
        vms: 3,
        volumes: 0,
        username: "user".to_owned(),
        password: "pass".to_owned(),
        page_size: None,
        task_duration: Duration::ZERO,
        seed: 7,
    }
}

/// A client: a model, a session, a dialect and a time.
struct Client {
    model: Model,
    cookie: Option<String>,
    dialect: ApiVersion,
    now: Timestamp,
}

impl Client {
    fn new(preset: Preset) -> Self {
        Self { model: Model::new(config(preset)), cookie: None, dialect: NEWEST, now: NOW }
    }

    fn logged_in(preset: Preset) -> Self {
        let mut client = Self::new(preset);
        client.login();
        client
    }

    fn login(&mut self) {
        let args = Object::new("").with("userName", "user").with("password", "pass");
        match self.call(self.manager("sessionManager"), "Login", args) {
            Ok(Answer::LoggedIn(_, cookie)) => self.cookie = Some(cookie),
            other => panic!("{other:?}"),
        }
    }

    fn manager(&self, member: &str) -> MoRef {
        service::manager(self.model.inventory.preset, member).unwrap()
    }

    fn call(&mut self, this: MoRef, method: &str, args: Object) -> Result<Answer, Fault> {
        let request = Request { method: method.to_owned(), this, args };
        let caller = Caller {
            cookie: self.cookie.as_deref(),
            dialect: self.dialect,
            now: self.now,
            arrived: self.now,
        };
        self.model.call(&request, &caller)
    }

    fn result(&mut self, this: MoRef, method: &str, args: Object) -> Result<Option<Value>, String> {
        match self.call(this, method, args) {
            Ok(Answer::Result(value)) => Ok(value),
            Ok(other) => panic!("{other:?}"),
            Err(fault) => Err(fault.detail.type_name.into_owned()),
        }
    }

    fn refused(&mut self, this: &MoRef, method: &str, args: Object) -> Object {
        self.call(this.clone(), method, args).unwrap_err().detail
    }

    fn retrieve(&mut self, spec: Object) -> Result<Vec<Object>, String> {
        let collector = self.manager("propertyCollector");
        let args = Object::new("").with("specSet", specs(spec));
        let found = self.result(collector, "RetrieveProperties", args)?;
        Ok(found.map_or_else(Vec::new, |found| contents(&found)))
    }

    fn find(&mut self, method: &str, args: Object) -> Option<String> {
        let index = self.manager("searchIndex");
        let found = self.result(index, method, args).unwrap()?;
        Some(found.as_moref().unwrap().value.clone())
    }

    fn machine(&self, name: &str) -> MoRef {
        self.model.machine(name).unwrap()
    }
}

fn contents(found: &Value) -> Vec<Object> {
    found.items().iter().filter_map(Value::as_object).cloned().collect()
}

fn specs(spec: Object) -> Array {
    Array::new("PropertyFilterSpec", vec![spec.into()])
}

fn strings(items: &[&str]) -> Value {
    tree::strings(items.iter().copied())
}

fn properties(class: &str, paths: &[&str]) -> Object {
    Object::new("PropertySpec").with("type", class).with("pathSet", strings(paths))
}

fn filter(properties: Object, root: Object) -> Object {
    Object::new("PropertyFilterSpec")
        .with("propSet", Array::new("PropertySpec", vec![properties.into()]))
        .with("objectSet", Array::new("ObjectSpec", vec![root.into()]))
}

fn root(object: &MoRef) -> Object {
    Object::new("ObjectSpec").with("obj", object)
}

fn select(of: Object, selections: Vec<Object>) -> Object {
    let items = selections.into_iter().map(Value::from).collect();
    of.with("selectSet", Array::new("SelectionSpec", items))
}

fn traversal(name: &str, class: &str, path: &str) -> Object {
    Object::new("TraversalSpec")
        .with("name", name)
        .with("type", class)
        .with("path", path)
        .with("skip", false)
}

fn named(name: &str) -> Object {
    Object::new("SelectionSpec").with("name", name)
}

fn names(contents: &[Object]) -> Vec<String> {
    contents
        .iter()
        .filter_map(|content| value(content, "name"))
        .filter_map(|v| v.as_str().map(str::to_owned))
        .collect()
}

fn value(content: &Object, path: &str) -> Option<Value> {
    let items = content.get("propSet")?.items();
    let found =
        items.iter().filter_map(Value::as_object).find(|item| item.str("name") == Some(path))?;
    found.get("val").cloned()
}

fn container_view(client: &mut Client, class: &str, recursive: bool) -> MoRef {
    let args = Object::new("")
        .with("container", client.model.inventory.root.clone())
        .with("type", strings(&[class]))
        .with("recursive", recursive);
    let manager = client.manager("viewManager");
    client
        .result(manager, "CreateContainerView", args)
        .unwrap()
        .unwrap()
        .as_moref()
        .unwrap()
        .clone()
}

fn view_filter(view: &MoRef, class: &str, paths: &[&str]) -> Object {
    let walk = traversal("v", &view.kind, "view");
    filter(properties(class, paths), select(root(view).with("skip", true), vec![walk]))
}
