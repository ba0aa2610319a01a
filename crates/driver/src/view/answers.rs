//! Reads of the driver that the view answers. `None` everywhere means: ask the host.

use std::collections::HashSet;

use esx_vi_api::MoRef;
use esx_vi_api::properties::ObjectRow;
use esx_vi_client::Retrieved;
use virt_api::{Domain, DomainSelector, DomainState};

use super::contents::Contents;
use super::filter::{Filter, host_paths, machine_paths};
use super::{Ask, LiveView, LiveViewStatus, Need};
use crate::connection::{Connection, Session};
use crate::domain::{Found, Machine, Wanted, autostarted};

/// The class of the object that tells which machines start by themselves.
const MANAGER: &str = "HostAutoStartManager";

impl Session {
    /// Answers from the view, if there is one and it is current.
    async fn ask_view<T>(
        &self,
        need: Need,
        answer: impl FnOnce(&mut Contents) -> Option<T>,
    ) -> Option<T> {
        let view = self.view.as_ref()?;
        if view.is_idle() {
            // Facts about the host: one request, if they are not known yet. Without them nothing can be watched.
            let host = self.binding().await.ok()?.host;
            let filter = Filter {
                host,
                manager: self.auto_start_manager().await.ok()?,
                is_vcenter: self.is_vcenter(),
                uuid_path: self.uuid_path(),
            };
            view.start(filter);
        }
        view.read(need, answer).await
    }

    /// Whom a look-up asks, one after the other, until it has found something.
    pub(crate) fn asked(&self) -> &'static [Ask] {
        match self.view {
            Some(_) => &[Ask::View, Ask::Host],
            None => &[Ask::Host],
        }
    }

    /// Every machine, and if that is wanted which of them the host starts by itself.
    pub(crate) async fn view_machines(
        &self,
        autostart: bool,
    ) -> Option<(Vec<Machine>, Option<HashSet<MoRef>>)> {
        self.ask_view(Need::All, |contents| {
            let started = match autostart {
                true => Some(autostarted(&manager(contents)?).ok()?),
                false => None,
            };
            Some((contents.machines().collect(), started))
        })
        .await
    }

    /// The machine that `selector` names, with `wanted` of its properties.
    pub(crate) async fn view_find(
        &self,
        selector: &DomainSelector,
        wanted: Wanted<'_>,
    ) -> Option<Found> {
        let find = |contents: &mut Contents| match selector {
            DomainSelector::Id(id) => by_id(contents, *id),
            DomainSelector::Uuid(uuid) => contents.by_uuid(*uuid),
            DomainSelector::Name(name) => contents.by_name(name),
        };
        let is_meant = |machine: &Machine| match selector {
            DomainSelector::Id(_) => machine.state != DomainState::Shutoff,
            DomainSelector::Uuid(uuid) => machine.domain.uuid == *uuid,
            DomainSelector::Name(name) => machine.domain.name == *name,
        };
        self.view_found(wanted, find, is_meant).await
    }

    /// The machine behind a handle: the one that it came from, if that is known, as several may have one BIOS UUID.
    pub(crate) async fn view_find_domain(
        &self,
        domain: &Domain,
        wanted: Wanted<'_>,
    ) -> Option<Found> {
        self.view.as_ref()?;
        let remembered = self.remembered(domain);
        let find = |contents: &mut Contents| {
            let at = remembered.and_then(|moref| contents.by_moref(&moref.value));
            if at.and_then(|at| contents.entry(at)).is_some_and(|e| e.uuid == domain.uuid) {
                return at;
            }
            match domain.uuid.is_nil() {
                true => contents.by_name(&domain.name),
                false => contents.by_uuid(domain.uuid),
            }
        };
        self.view_found(wanted, find, |machine| machine.domain.uuid == domain.uuid).await
    }

    async fn view_found(
        &self,
        wanted: Wanted<'_>,
        find: impl FnOnce(&mut Contents) -> Option<usize>,
        is_meant: impl FnOnce(&Machine) -> bool,
    ) -> Option<Found> {
        self.view.as_ref()?;
        let uuid_path = self.uuid_path();
        let known: Vec<_> = machine_paths(uuid_path).collect();
        if wanted.paths.iter().any(|path| !known.contains(path)) {
            // Where it is is worth something all the same: it saves the look-up.
            let place = |contents: &mut Contents| {
                let at = find(contents)?;
                Some(contents.entry(at)?.reference())
            };
            let moref = self.ask_view(Need::One, place).await?;
            let found = self.read_machine(&moref, wanted).await.ok()??;
            return is_meant(&found.machine).then_some(found);
        }
        self.ask_view(Need::One, |contents| {
            let at = find(contents)?;
            let entry = contents.entry(at)?;
            let machine = entry.machine(uuid_path);
            if !is_meant(&machine) {
                return None;
            }
            let row = entry.row(uuid_path, wanted.paths);
            let autostart = if wanted.autostart { manager(contents) } else { None };
            Some(Found { machine, row, autostart })
        })
        .await
    }

    /// Properties of the connection's host.
    pub(crate) async fn view_host_row(&self, ask: Ask, paths: &[&str]) -> Option<ObjectRow> {
        self.view.as_ref().filter(|_| ask == Ask::View)?;
        if paths.iter().any(|path| !host_paths().any(|known| known == *path)) {
            return None;
        }
        self.ask_view(Need::One, |contents| contents.rows("HostSystem").next()).await
    }

    /// The host and, of these classes, everything that hangs on it.
    pub(crate) async fn view_rows(&self, ask: Ask, kinds: &[&str]) -> Option<Retrieved> {
        self.view.as_ref().filter(|_| ask == Ask::View)?;
        self.ask_view(Need::One, |contents| {
            let mut objects: Vec<_> = contents.rows("HostSystem").collect();
            if objects.is_empty() {
                return None;
            }
            for kind in kinds {
                objects.extend(contents.rows(kind));
            }
            Some(Retrieved { objects, ..Retrieved::default() })
        })
        .await
    }
}

impl Connection {
    /// How the live view is: where reads are answered from, since when, and why if not from the view.
    pub fn live_view(&self) -> LiveViewStatus {
        self.session.view.as_ref().map_or_else(LiveViewStatus::off, LiveView::status)
    }

    /// Waits until the live view is as wanted: `reached` is shown the status now and after every step. Without a view it is shown
    /// the status once.
    pub async fn live_view_until(
        &self,
        reached: impl FnMut(&LiveViewStatus) -> bool + Send,
    ) -> LiveViewStatus {
        match &self.session.view {
            Some(view) => view.until(reached).await,
            None => LiveViewStatus::off(),
        }
    }
}

/// The row that tells what the host starts by itself; none if the host has nobody who tells.
fn manager(contents: &Contents) -> Option<Retrieved> {
    let objects: Vec<_> = contents.rows(MANAGER).collect();
    (!objects.is_empty()).then(|| Retrieved { objects, ..Retrieved::default() })
}

/// The active machine with this ID: hosts count from 1, a vCenter writes `vm-1`.
fn by_id(contents: &Contents, id: i32) -> Option<usize> {
    [id.to_string(), format!("vm-{id}")]
        .iter()
        .filter_map(|value| contents.by_moref(value))
        .find(|at| contents.entry(*at).is_some_and(|entry| entry.state != DomainState::Shutoff))
}
