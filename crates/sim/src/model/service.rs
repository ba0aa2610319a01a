//! The service instance: `about`, the managers, and what `RetrieveServiceContent` answers.

use esx_vi_api::{ApiVersion, DateTime, MoRef, Object, Value};

use super::inventory::{Inventory, Preset};
use super::tree::{objects, skeleton};

/// The reference that every client knows.
pub(super) fn instance() -> MoRef {
    MoRef::new("ServiceInstance", "ServiceInstance")
}

/// Members of `ServiceContent` with the class, and the references on a host and on a vCenter (if it has one).
#[rustfmt::skip]
const MEMBERS: &[(&str, &str, &str, &str)] = &[
    ("propertyCollector", "PropertyCollector", "ha-property-collector", "propertyCollector"),
    ("viewManager", "ViewManager", "ViewManager", "ViewManager"),
    ("setting", "OptionManager", "HostAgentSettings", "VpxSettings"),
    ("userDirectory", "UserDirectory", "ha-user-directory", "UserDirectory"),
    ("sessionManager", "SessionManager", "ha-sessionmgr", "SessionManager"),
    ("authorizationManager", "AuthorizationManager", "ha-authmgr", "AuthorizationManager"),
    ("perfManager", "PerformanceManager", "ha-perfmgr", "PerfMgr"),
    ("eventManager", "EventManager", "ha-eventmgr", "EventManager"),
    ("taskManager", "TaskManager", "ha-taskmgr", "TaskManager"),
    ("extensionManager", "ExtensionManager", "", "ExtensionManager"),
    ("customFieldsManager", "CustomFieldsManager", "", "CustomFieldsManager"),
    ("licenseManager", "LicenseManager", "ha-license-manager", "LicenseManager"),
    ("searchIndex", "SearchIndex", "ha-searchindex", "SearchIndex"),
    ("fileManager", "FileManager", "ha-nfc-file-manager", "FileManager"),
    ("virtualDiskManager", "VirtualDiskManager", "ha-vdiskmanager", "virtualDiskManager"),
    ("ovfManager", "OvfManager", "ha-ovf-manager", "OvfManager"),
    ("dvSwitchManager", "DistributedVirtualSwitchManager", "ha-dvsmanager", "DVSManager"),
];

fn member_morefs(preset: Preset) -> impl Iterator<Item = (&'static str, MoRef)> {
    MEMBERS.iter().filter_map(move |&(member, class, esx, vcenter)| {
        let value = if preset == Preset::Esx { esx } else { vcenter };
        (!value.is_empty()).then(|| (member, MoRef::new(class, value)))
    })
}

/// The references of all managers.
pub(super) fn managers(preset: Preset) -> impl Iterator<Item = MoRef> {
    member_morefs(preset).map(|(_, moref)| moref)
}

/// The manager behind a member of the service content.
pub(super) fn manager(preset: Preset, member: &str) -> Option<MoRef> {
    member_morefs(preset).find(|(name, _)| *name == member).map(|(_, moref)| moref)
}

/// The product that speaks an API version: version and build.
fn product(api_version: ApiVersion) -> (&'static str, &'static str) {
    for (since, version, build) in [
        (ApiVersion::new(8, 0, 0, 0), "8.0.2", "22380479"),
        (ApiVersion::new(6, 7, 0, 0), "6.7.0", "8169922"),
        (ApiVersion::V4_1, "4.1.0", "260247"),
        (ApiVersion::V4_0, "4.0.0", "164009"),
    ] {
        if since <= api_version {
            return (version, build);
        }
    }
    ("3.5.0", "64607")
}

impl Inventory {
    /// `AboutInfo` of the endpoint.
    pub(super) fn about(&self) -> Object {
        match self.preset {
            Preset::Esx => self.host_product(),
            Preset::VCenter => {
                let (version, build) = product(self.api_version);
                Object::new("AboutInfo")
                    .with("name", "VMware vCenter Server")
                    .with("fullName", format!("VMware vCenter Server {version} build-{build}"))
                    .with("vendor", "VMware, Inc.")
                    .with("version", version)
                    .with("build", build)
                    .with("localeVersion", "INTL")
                    .with("localeBuild", "000")
                    .with("osType", "linux-x64")
                    .with("productLineId", "vpx")
                    .with("apiType", "VirtualCenter")
                    .with("apiVersion", self.api_version.to_string())
                    .with("instanceUuid", "6d1f0c4e-5a1e-4b8e-9d57-0f3a2b1c4d5e")
                    .with("licenseProductName", "VMware VirtualCenter Server")
                    .with("licenseProductVersion", &version[..3])
            }
        }
    }

    /// `AboutInfo` of a host.
    pub(super) fn host_product(&self) -> Object {
        let (version, build) = product(self.api_version);
        Object::new("AboutInfo")
            .with("name", "VMware ESXi")
            .with("fullName", format!("VMware ESXi {version} build-{build}"))
            .with("vendor", "VMware, Inc.")
            .with("version", version)
            .with("build", build)
            .with("localeVersion", "INTL")
            .with("localeBuild", "000")
            .with("osType", "vmnix-x86")
            .with("productLineId", "embeddedEsx")
            .with("apiType", "HostAgent")
            .with("apiVersion", self.api_version.to_string())
            .with("licenseProductName", "VMware ESX Server")
            .with("licenseProductVersion", &version[..3])
    }

    /// `ServiceContent`.
    pub(super) fn service_content(&self) -> Object {
        let mut content = Object::new("ServiceContent")
            .with("rootFolder", &self.root)
            .with("about", self.about());
        for (member, moref) in member_morefs(self.preset) {
            content.set(member, moref);
        }
        content
    }

    /// `LicenseManager.licenses`: one licence, with the features that anybody asks about.
    pub(super) fn licenses(&self) -> Value {
        let free = self.free_license;
        let pair = |key: &'static str, value: &'static str| {
            Object::new("KeyValue").with("key", key).with("value", value)
        };
        let serial = ("serialuri:2", "Remote virtual Serial Port Concentrator");
        let features = [("vmotion", "vSphere vMotion"), ("das", "vSphere HA")]
            .into_iter()
            .chain(self.serial_uri_licensed.then_some(serial))
            .map(|(key, name)| {
                Object::new("KeyAnyValue").with("key", "feature").with("value", pair(key, name))
            });
        let license = Object::new("LicenseManagerLicenseInfo")
            .with("licenseKey", "00000-00000-00000-00000-00000")
            .with("editionKey", if free { "esxBasic" } else { "eval" })
            .with("name", if free { "vSphere 8 Hypervisor" } else { "Evaluation Mode" })
            .with("total", 0)
            .with("costUnit", "")
            .with("properties", objects("KeyAnyValue", features));
        objects("LicenseManagerLicenseInfo", [license])
    }

    /// A property of the service instance.
    pub(super) fn service_property(&self, name: &str, now: DateTime) -> Option<Value> {
        Some(match name {
            "serverClock" => now.into(),
            "content" => self.service_content().into(),
            "capability" => skeleton("Capability")
                .with("provisioningSupported", true)
                .with("multiHostSupported", self.preset == Preset::VCenter)
                .into(),
            _ => return None,
        })
    }
}
