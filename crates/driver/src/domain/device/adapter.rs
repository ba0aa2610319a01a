//! Network adapters.

use esx_vi_api::{Object, Value};
use virt_api::Result;
use virt_xml::domain::Interface;

use super::hardware::{Hardware, backing};
use super::list::{adapter_model, network_name};
use super::{
    Action, Change, NEW_KEY, connectable, impossible, no_device, reconnected, several, unsupported,
};

/// An `<interface>`, its network in the API's words.
pub(super) struct Adapter {
    pub(super) interface: Interface,
    /// What it is connected to; not looked up where that does not matter.
    pub(super) backing: Option<Object>,
}

/// Models: libvirt's word and the API's class.
pub(super) const MODELS: [(&str, &str); 6] = [
    ("vlance", "VirtualPCNet32"),
    ("e1000", "VirtualE1000"),
    ("e1000e", "VirtualE1000e"),
    ("vmxnet", "VirtualVmxnet"),
    ("vmxnet2", "VirtualVmxnet2"),
    ("vmxnet3", "VirtualVmxnet3"),
];

impl Adapter {
    pub(super) fn changes(
        &self,
        hardware: &Hardware<'_>,
        action: Action,
        running: bool,
    ) -> Result<Vec<Change>> {
        Ok(vec![match action {
            Action::Attach => Change::add(self.new_adapter(hardware, running)?),
            Action::Detach => Change::remove(self.found(hardware)?.clone()),
            Action::Update => Change::edit(self.updated(self.found(hardware)?, running)?),
        }])
    }

    fn is_linked(&self) -> bool {
        self.interface.link_state.as_deref() != Some("down")
    }

    fn mac(&self) -> Option<String> {
        self.interface.mac.as_ref().map(|mac| mac.address.to_string())
    }

    /// A new adapter, by default of the model that the machine has already: its guest has a driver for that.
    fn new_adapter(&self, hardware: &Hardware<'_>, running: bool) -> Result<Object> {
        let class = match self.interface.model.as_deref() {
            Some(model) => class_of(model)?.to_owned(),
            None => hardware
                .of("VirtualEthernetCard")
                .next()
                .map_or_else(|| "VirtualE1000".to_owned(), |first| first.type_name.to_string()),
        };
        let mac = self.mac();
        if let Some(mac) = &mac
            && hardware.of("VirtualEthernetCard").any(|other| has_mac(other, mac))
        {
            return Err(several(format!("the domain has a network adapter {mac} already")));
        }
        Ok(Object::new(class)
            .with("key", NEW_KEY)
            .with_opt("backing", self.backing.clone())
            .with("connectable", connectable(self.is_linked(), running && self.is_linked()))
            .with("addressType", if mac.is_some() { "manual" } else { "generated" })
            .with_opt("macAddress", mac)
            .with("wakeOnLanEnabled", true))
    }

    /// The machine's adapter that the document means: by MAC address, else the only one that fits.
    fn found<'a>(&self, hardware: &Hardware<'a>) -> Result<&'a Object> {
        let mac = self.mac();
        let source = self.interface.source.as_ref();
        let network = source.and_then(|source| source.bridge.as_ref().or(source.network.as_ref()));
        let model = self.interface.model.as_deref();
        let mut found: Vec<_> = hardware
            .of("VirtualEthernetCard")
            .filter(|adapter| match &mac {
                Some(mac) => has_mac(adapter, mac),
                None => {
                    let same = |network| network_name(adapter) == Some(network);
                    network.is_none_or(|network| same(network.as_str()))
                        && model.is_none_or(|model| adapter_model(adapter) == Some(model))
                }
            })
            .collect();
        let shown = match (&mac, network) {
            (Some(mac), _) => mac.clone(),
            (None, Some(network)) => format!("on network '{network}'"),
            (None, None) => "like that".to_owned(),
        };
        match (found.pop(), found.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => Err(no_device(format!("the domain has no network adapter {shown}"))),
            _ => Err(several(format!(
                "the domain has several network adapters {shown}, name the MAC address"
            ))),
        }
    }

    fn updated(&self, found: &Object, running: bool) -> Result<Object> {
        if let Some(model) = self.interface.model.as_deref()
            && adapter_model(found).is_some_and(|own| own != model)
        {
            let message = "the model of a network adapter cannot be changed, detach and attach it";
            return Err(impossible(message));
        }
        let was_linked =
            found.get_path("connectable.startConnected").and_then(Value::as_bool).unwrap_or(true);
        // A document without a word on the link asks for one that is up, as libvirt has it.
        let mut device = match (self.is_linked(), was_linked) {
            (wanted, was) if wanted == was => found.clone(),
            (wanted, _) => reconnected(found, wanted, running),
        };
        if let Some(wanted) = &self.backing
            && !is_same(found, wanted)
        {
            device.set("backing", wanted.clone());
        }
        Ok(device)
    }
}

/// Whether an adapter is where a backing would put it.
fn is_same(adapter: &Object, wanted: &Object) -> bool {
    let Some(old) = backing(adapter).filter(|old| old.type_name == wanted.type_name) else {
        return false;
    };
    let port = |backing: &Object| {
        let text = |path: &str| backing.get_path(path).and_then(Value::as_str).map(str::to_owned);
        (text("port.switchUuid"), text("port.portgroupKey"))
    };
    match wanted.str("deviceName") {
        Some(name) => old.str("deviceName") == Some(name),
        None => port(old) == port(wanted),
    }
}

fn class_of(model: &str) -> Result<&'static str> {
    let found = MODELS.iter().find(|(word, _)| word.eq_ignore_ascii_case(model));
    found
        .map(|(_, class)| *class)
        .ok_or_else(|| unsupported(format!("VMware has no network adapter '{model}'")))
}

fn has_mac(adapter: &Object, mac: &str) -> bool {
    adapter.str("macAddress").is_some_and(|own| own.eq_ignore_ascii_case(mac))
}
