//! The methods of the simulated server.

use std::time::Duration;

use esx_escape::DatastorePath;
use esx_vi_api::soap::Request;
use esx_vi_api::{Array, MoRef, Object, Value, schema};

use super::collector::{Pager, Selection};
use super::context::Context;
use super::fault::Fault;
use super::machine::PowerState;
use super::search::Wanted;
use super::session::Session;
use super::task::Kind;
use super::time::Timestamp;
use super::view::View;
use super::{Answer, Caller, Model, service};

/// How many unfinished retrievals a session may have: the oldest are forgotten.
const MAX_PAGERS: usize = 64;
/// How many views and filters a session may have.
const MAX_OBJECTS: usize = 1000;

impl Model {
    /// Calls a method.
    ///
    /// # Errors
    /// The fault that a host answers with.
    pub fn call(&mut self, request: &Request, caller: &Caller<'_>) -> Result<Answer, Fault> {
        self.tick(caller.now);
        // Being asked again is no new call.
        if caller.now == caller.arrived {
            self.run_hook(&request.method);
        }
        let this = &request.this;
        let not_found = || Fault::method_not_found(this, &request.method);
        let (class, method) = schema::method(&request.method).ok_or_else(not_found)?;
        if method.since > caller.dialect {
            return Err(not_found());
        }
        let logged_in = caller.cookie.is_some_and(|cookie| {
            // Waiting is one access, however often the model is asked.
            if caller.now == caller.arrived {
                self.sessions.touch(cookie, caller.now).is_some()
            } else {
                self.sessions.get(cookie).is_some()
            }
        });
        let open_to_all = matches!(
            request.method.as_str(),
            "RetrieveServiceContent" | "Login" | "RetrieveProperties" | "RetrievePropertiesEx"
        );
        if !logged_in && !open_to_all {
            return Err(Fault::not_authenticated(this));
        }
        if !self.context(caller).exists(this) {
            return Err(Fault::object_not_found(this));
        }
        if !schema::is_managed_subtype(&this.kind, class.name) {
            return Err(not_found());
        }
        let missing = method.params.iter().find(|param| {
            !param.optional
                && param.since <= caller.dialect
                && request.args.get(param.name).is_none()
        });
        if let Some(param) = missing {
            return Err(Fault::invalid_request(format!(
                "Required parameter {} is missing",
                param.name
            )));
        }
        self.check_allowed(&request.method, this)?;
        self.check_leases(this, &request.method)?;
        match Kind::of(&request.method) {
            Some(kind) => self.start_task(*kind, request, caller),
            None => self.dispatch(request, caller),
        }
    }

    fn dispatch(&mut self, request: &Request, caller: &Caller<'_>) -> Result<Answer, Fault> {
        let (this, args) = (&request.this, &request.args);
        let done = |value: Value| Ok(Answer::Result(Some(value)));
        let found = |moref: Option<MoRef>| Ok(Answer::Result(moref.map(Value::from)));
        match request.method.as_str() {
            "RetrieveServiceContent" => done(self.inventory.service_content().into()),
            "CurrentTime" => done(caller.now.date_time().into()),
            "Login" => self.login(args, caller),
            "Logout" => {
                if let Some(cookie) = caller.cookie {
                    self.sessions.close(cookie);
                }
                self.changed(true);
                Ok(Answer::Result(None))
            }
            "SessionIsActive" => {
                let (key, user) = (args.str("sessionID"), args.str("userName"));
                let active = self.sessions.iter().any(|session| {
                    Some(session.key.as_str()) == key && Some(session.user.as_str()) == user
                });
                done(active.into())
            }
            "TerminateSession" => {
                let keys = args.get("sessionId").map_or(&[][..], Value::items);
                let mut ended = true;
                for key in keys.iter().filter_map(Value::as_str) {
                    ended &= self.sessions.terminate(key);
                }
                self.changed(true);
                if ended {
                    Ok(Answer::Result(None))
                } else {
                    Err(Fault::new("NotFound", "Not found"))
                }
            }
            "SetLocale" => Ok(Answer::Result(None)),
            "CancelTask" => self.cancel_task(this),
            "AnswerVM" => self.answer_vm(this, args),
            "ShutdownGuest" => self.ask_guest(this, PowerState::PoweredOff),
            "RebootGuest" => self.ask_guest(this, PowerState::PoweredOn),
            "UnregisterVM" => self.unregister(this),
            "Reload" => self.reload(this),
            "MarkAsTemplate" => self.mark(this, true, args),
            "MarkAsVirtualMachine" => self.mark(this, false, args),
            "RenameSnapshot" => self.rename_snapshot(this, args),
            "ReconfigureAutostart" => self.reconfigure_autostart(this, args),
            "AutoStartPowerOn" => self.autostart_power_on(this),
            "AutoStartPowerOff" => self.autostart_power_off(this),
            "ValidateMigration" => self.validate_migration(args, caller),
            "MakeDirectory" => self.make_directory(args),
            "QueryVirtualDiskUuid" => self.query_disk_uuid(args),
            "SetVirtualDiskUuid" => self.set_disk_uuid(args),
            "RefreshDatastore" | "RefreshDatastoreStorageInfo" => self.refresh_datastore(this),
            "RescanHba" => self.rescan_adapter(this, text(args, "hbaDevice")),
            "RescanAllHba" | "RescanVmfs" | "RefreshStorageSystem" => Ok(Answer::Result(None)),
            "ExportVm" => self.export_machine(this, caller),
            "ExportSnapshot" => self.export_snapshot(this, caller),
            "HttpNfcLeaseProgress"
            | "HttpNfcLeaseComplete"
            | "HttpNfcLeaseAbort"
            | "HttpNfcLeaseGetManifest" => self.lease_method(this, &request.method, args),
            "StandbyGuest" => self.ask_guest(this, PowerState::Suspended),
            "RetrieveProperties" => self.retrieve(args, caller),
            "RetrievePropertiesEx" => self.retrieve_ex(args, caller),
            "ContinueRetrievePropertiesEx" => self.continue_retrieve(args, caller),
            "CancelRetrievePropertiesEx" => {
                let token = token(args)?;
                let session = self.session(caller, this)?;
                session.pagers.remove(&token).ok_or_else(|| Fault::invalid_argument("token"))?;
                Ok(Answer::Result(None))
            }
            "CreatePropertyCollector" => {
                let session = self.session(caller, this)?;
                if session.collectors.len() >= MAX_OBJECTS {
                    return Err(Fault::new("LimitExceeded", "Too many property collectors"));
                }
                let value = session.next_value();
                session.collectors.insert(value.clone(), Default::default());
                done(MoRef::new("PropertyCollector", value).into())
            }
            "DestroyPropertyCollector" => {
                let session = self.session(caller, this)?;
                session.collectors.remove(&this.value).ok_or_else(Fault::not_supported)?;
                self.changed(true);
                Ok(Answer::Result(None))
            }
            "CreateFilter" => self.create_filter(this, args, caller),
            "DestroyPropertyFilter" => {
                let session = self.session(caller, this)?;
                let removed =
                    session.collectors.values_mut().any(|collector| collector.remove(&this.value));
                if removed { Ok(Answer::Result(None)) } else { Err(Fault::object_not_found(this)) }
            }
            "CheckForUpdates" | "WaitForUpdates" | "WaitForUpdatesEx" => {
                self.updates(request, caller)
            }
            "CancelWaitForUpdates" => {
                let session = self.session(caller, this)?;
                session.collectors.entry(this.value.clone()).or_default().cancelled =
                    Some(caller.now);
                self.changed(true);
                Ok(Answer::Result(None))
            }
            "CreateContainerView" => self.create_container_view(args, caller),
            "CreateListView" => {
                let members = args.get("obj").map_or(&[][..], Value::items);
                let members = members.iter().filter_map(Value::as_moref).cloned().collect();
                self.create_view("ListView", View::List(members), caller)
            }
            "DestroyView" => {
                let session = self.session(caller, this)?;
                session.views.remove(&this.value).ok_or_else(|| Fault::object_not_found(this))?;
                Ok(Answer::Result(None))
            }
            "FindByUuid" => {
                let wanted = uuid_wanted(args);
                found(self.find(args, wanted).into_iter().next())
            }
            "FindAllByUuid" => morefs(self.find(args, uuid_wanted(args))),
            "FindByIp" => found(self.find(args, Wanted::Ip(text(args, "ip"))).into_iter().next()),
            "FindAllByIp" => morefs(self.find(args, Wanted::Ip(text(args, "ip")))),
            "FindByDnsName" => {
                let wanted = Wanted::DnsName(text(args, "dnsName"));
                found(self.find(args, wanted).into_iter().next())
            }
            "FindAllByDnsName" => morefs(self.find(args, Wanted::DnsName(text(args, "dnsName")))),
            "FindByInventoryPath" => {
                found(self.inventory.find_by_path(text(args, "inventoryPath")))
            }
            "FindChild" => {
                let entity = args.get("entity").and_then(Value::as_moref);
                let entity = entity.ok_or_else(|| Fault::invalid_argument("entity"))?;
                if self.inventory.get(entity).is_none() {
                    return Err(Fault::object_not_found(entity));
                }
                found(self.inventory.find_child(entity, text(args, "name")))
            }
            "FindByDatastorePath" => {
                let datacenter = args.get("datacenter").and_then(Value::as_moref);
                let datacenter = datacenter
                    .filter(|moref| self.inventory.datacenter(moref).is_some())
                    .ok_or_else(|| Fault::invalid_argument("datacenter"))?;
                let path: DatastorePath = text(args, "path").parse().map_err(|_| {
                    let path = text(args, "path");
                    Fault::new("InvalidDatastorePath", format!("Invalid datastore path '{path}'."))
                })?;
                found(self.inventory.find_by_datastore_path(datacenter, &path))
            }
            method => self
                .network_method(this, method, args)
                .unwrap_or_else(|| Err(Fault::not_supported())),
        }
    }

    fn context<'a>(&'a self, caller: &Caller<'_>) -> Context<'a> {
        Context {
            inventory: &self.inventory,
            sessions: &self.sessions,
            session: caller.cookie.and_then(|cookie| self.sessions.get(cookie)),
            denied: &self.denied,
            dialect: caller.dialect,
            now: caller.now,
        }
    }

    pub(super) fn session(
        &mut self,
        caller: &Caller<'_>,
        this: &MoRef,
    ) -> Result<&mut Session, Fault> {
        caller
            .cookie
            .and_then(|cookie| self.sessions.get_mut(cookie))
            .ok_or_else(|| Fault::not_authenticated(this))
    }

    /// Whether a user and password are those that the server knows.
    pub(super) fn knows(&self, user: &str, password: &str) -> bool {
        user == self.username && password == self.password
    }

    fn login(&mut self, args: &Object, caller: &Caller<'_>) -> Result<Answer, Fault> {
        let user = text(args, "userName");
        if !self.knows(user, text(args, "password")) {
            return Err(Fault::invalid_login());
        }
        if let Some(old) = caller.cookie {
            self.sessions.close(old);
        }
        let cookie = self.sessions.open(user, caller.now);
        let session = self.sessions.get(&cookie).map(Session::user_session).unwrap_or_default();
        self.changed(true);
        Ok(Answer::LoggedIn(session.into(), cookie))
    }

    /// Reads the filter specs of a retrieval. Without a session, only the service instance and the session manager can
    /// be read: a client looks there whether it has one.
    fn selections(&self, args: &Object, caller: &Caller<'_>) -> Result<Vec<Selection>, Fault> {
        let specs = args.get("specSet").map_or(&[][..], Value::items);
        let selections = specs
            .iter()
            .map(|spec| Selection::parse(spec, caller.dialect))
            .collect::<Result<Vec<_>, _>>()?;
        if self.context(caller).session.is_none() {
            for selection in &selections {
                let secret = selection.roots().find(|moref| {
                    !matches!(moref.kind.as_str(), "ServiceInstance" | "SessionManager")
                });
                if let Some(moref) = secret {
                    return Err(Fault::not_authenticated(moref));
                }
                if selection.traverses() {
                    return Err(Fault::not_authenticated(&service::instance()));
                }
            }
        }
        Ok(selections)
    }

    fn retrieve(&self, args: &Object, caller: &Caller<'_>) -> Result<Answer, Fault> {
        let selections = self.selections(args, caller)?;
        let context = self.context(caller);
        let page = Pager::new(&context, selections, usize::MAX)?.next(&context);
        Ok(Answer::Result((!page.items.is_empty()).then(|| page.into())))
    }

    fn retrieve_ex(&mut self, args: &Object, caller: &Caller<'_>) -> Result<Answer, Fault> {
        let asked = args.get_path("options.maxObjects").and_then(Value::as_i64);
        let asked = match asked {
            Some(number) => usize::try_from(number)
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(|| Fault::invalid_argument("options.maxObjects"))?,
            None => usize::MAX,
        };
        let selections = self.selections(args, caller)?;
        let pager = Pager::new(&self.context(caller), selections, asked.min(self.page_size))?;
        self.page(pager, caller)
    }

    fn continue_retrieve(&mut self, args: &Object, caller: &Caller<'_>) -> Result<Answer, Fault> {
        let token = token(args)?;
        let collector =
            service::manager(self.inventory.preset, "propertyCollector").unwrap_or_default();
        let session = self.session(caller, &collector)?;
        let pager =
            session.pagers.remove(&token).ok_or_else(|| Fault::invalid_argument("token"))?;
        self.page(pager, caller)
    }

    fn page(&mut self, mut pager: Pager, caller: &Caller<'_>) -> Result<Answer, Fault> {
        let objects = pager.next(&self.context(caller));
        let mut result = Object::new("RetrieveResult");
        if !pager.is_done() {
            let collector =
                service::manager(self.inventory.preset, "propertyCollector").unwrap_or_default();
            let session = self.session(caller, &collector)?;
            session.counter += 1;
            let token = session.counter;
            session.pagers.insert(token, pager);
            if session.pagers.len() > MAX_PAGERS {
                session.pagers.pop_first();
            }
            result.set("token", token.to_string());
        } else if objects.items.is_empty() {
            return Ok(Answer::Result(None));
        }
        Ok(Answer::Result(Some(result.with("objects", objects).into())))
    }

    fn create_filter(
        &mut self,
        this: &MoRef,
        args: &Object,
        caller: &Caller<'_>,
    ) -> Result<Answer, Fault> {
        let spec = args.get("spec").ok_or_else(|| Fault::invalid_argument("spec"))?;
        let selection = Selection::parse(spec, caller.dialect)?;
        // A root that does not exist is refused now.
        selection.objects(&self.context(caller))?;
        let spec = spec.as_object().cloned().unwrap_or_default();
        let partial = args.get("partialUpdates").and_then(Value::as_bool).unwrap_or(false);
        let session = self.session(caller, this)?;
        let value = session.next_value();
        let collector = session.collectors.entry(this.value.clone()).or_default();
        if collector.filter_morefs().len() >= MAX_OBJECTS {
            return Err(Fault::new("LimitExceeded", "Too many filters"));
        }
        let moref = collector.add(value, spec, selection, partial);
        // Somebody may be waiting for this collector already.
        self.changed(true);
        Ok(Answer::Result(Some(moref.into())))
    }

    fn updates(&mut self, request: &Request, caller: &Caller<'_>) -> Result<Answer, Fault> {
        let (this, args) = (&request.this, &request.args);
        let option = |name: &str| {
            args.get("options")
                .and_then(Value::as_object)
                .and_then(|o| o.get(name))
                .and_then(Value::as_i64)
        };
        let limit = option("maxObjectUpdates")
            .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(1));
        let until = match (request.method.as_str(), option("maxWaitSeconds")) {
            ("CheckForUpdates", _) => Some(caller.arrived),
            ("WaitForUpdatesEx", Some(seconds)) => {
                let seconds = u64::try_from(seconds)
                    .map_err(|_| Fault::invalid_argument("options.maxWaitSeconds"))?;
                Some(caller.arrived.after(Duration::from_secs(seconds)))
            }
            _ => None,
        };
        let generation = self.generation;
        // The collector is taken out of its session while it looks at everything else.
        let session = self.session(caller, this)?;
        let mut collector = session.collectors.remove(&this.value).unwrap_or_default();
        let outcome =
            if collector.cancelled.is_some_and(|cancelled: Timestamp| caller.arrived < cancelled) {
                Err(Fault::new("RequestCanceled", "The request was canceled by a user."))
            } else {
                // A version is only for the first look: once waiting, nothing but a change matters.
                collector.updates(&self.context(caller), generation, text(args, "version"), limit)
            };
        self.session(caller, this)?.collectors.insert(this.value.clone(), collector);
        match outcome? {
            Some(set) => Ok(Answer::Result(Some(set))),
            None if until.is_some_and(|until| caller.now >= until) => Ok(Answer::Result(None)),
            None => {
                // Tasks that run by the clock bring news by themselves.
                let until = until.into_iter().chain(self.next_event()).min();
                Ok(Answer::Wait { until })
            }
        }
    }

    fn create_container_view(
        &mut self,
        args: &Object,
        caller: &Caller<'_>,
    ) -> Result<Answer, Fault> {
        let container = args.get("container").and_then(Value::as_moref);
        let container = container.ok_or_else(|| Fault::invalid_argument("container"))?.clone();
        if self.inventory.get(&container).is_none() {
            return Err(Fault::object_not_found(&container));
        }
        let types: Vec<String> = args
            .get("type")
            .map_or(&[][..], Value::items)
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        if types.iter().any(|class| schema::managed_type(class).is_none()) {
            return Err(Fault::invalid_argument("type"));
        }
        let recursive = args.get("recursive").and_then(Value::as_bool).unwrap_or(false);
        self.create_view("ContainerView", View::Container { container, types, recursive }, caller)
    }

    fn create_view(
        &mut self,
        class: &str,
        view: View,
        caller: &Caller<'_>,
    ) -> Result<Answer, Fault> {
        let manager = service::manager(self.inventory.preset, "viewManager").unwrap_or_default();
        let session = self.session(caller, &manager)?;
        if session.views.len() >= MAX_OBJECTS {
            return Err(Fault::new("LimitExceeded", "Too many views"));
        }
        let value = session.next_value();
        session.views.insert(value.clone(), view);
        Ok(Answer::Result(Some(MoRef::new(class, value).into())))
    }

    fn find(&self, args: &Object, wanted: Wanted<'_>) -> Vec<MoRef> {
        let datacenter = args.get("datacenter").and_then(Value::as_moref);
        let machines = args.get("vmSearch").and_then(Value::as_bool).unwrap_or(false);
        self.inventory.find(datacenter, wanted, machines)
    }
}

fn text<'a>(args: &'a Object, name: &str) -> &'a str {
    args.str(name).unwrap_or_default()
}

fn token(args: &Object) -> Result<u64, Fault> {
    text(args, "token").parse().map_err(|_| Fault::invalid_argument("token"))
}

fn uuid_wanted(args: &Object) -> Wanted<'_> {
    let uuid = text(args, "uuid");
    if args.get("instanceUuid").and_then(Value::as_bool).unwrap_or(false) {
        Wanted::InstanceUuid(uuid)
    } else {
        Wanted::BiosUuid(uuid)
    }
}

/// The result of a method that returns references: none at all if there are none.
fn morefs(found: Vec<MoRef>) -> Result<Answer, Fault> {
    if found.is_empty() {
        return Ok(Answer::Result(None));
    }
    let items = found.into_iter().map(Value::from).collect();
    Ok(Answer::Result(Some(Array::new("ManagedObjectReference", items).into())))
}
