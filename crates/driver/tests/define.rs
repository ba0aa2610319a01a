//! Defining domains on the simulated host: new ones and ones that exist, and what every failure leaves behind.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{connect, methods, options};
use esx_driver::Connection;
use esx_sim::model::{Fault, FileContent, Model};
use esx_sim::{PowerState, Reaction, Running, Simulator};
use virt_api::{
    Definitions, Domain, DomainCreateFlags, DomainDefineFlags, DomainXmlFlags, Error, ErrorCode,
    Hypervisor as _, Result,
};

struct Scene {
    sim: Running,
    connection: Connection,
}

const DISK: &str = "new/new.vmdk";
const DATASTORE: &str = "datastore1";

impl Scene {
    async fn new() -> Self {
        Self::on(Simulator::builder().vms(2).start().await.unwrap()).await
    }

    /// A host with a disk that no machine has yet.
    async fn on(sim: Running) -> Self {
        sim.model().change(|m| {
            let content = b"# Disk DescriptorFile\nversion=1\nRW 16384 VMFS \"new-flat.vmdk\"\n";
            assert!(m.add_file(DATASTORE, DISK, content));
        });
        let connection = connect(&sim, "").await;
        sim.reset_journal();
        Self { sim, connection }
    }

    async fn define(&self, xml: &str) -> Result<Domain> {
        self.connection.domain_define_xml_flags(xml, DomainDefineFlags::empty()).await
    }

    async fn xml(&self, domain: &Domain) -> String {
        let flags = DomainXmlFlags::INACTIVE;
        self.connection.domain_get_xml_desc(domain, flags).await.unwrap()
    }

    fn vmx(&self, name: &str) -> String {
        self.sim.model().read(|m| m.vmx(&m.machine(name).unwrap()).unwrap())
    }

    fn has_line(&self, name: &str, line: &str) -> bool {
        self.vmx(name).lines().any(|own| own == line)
    }

    fn file(&self, path: &str) -> Option<Vec<u8>> {
        let stored = self.sim.model().read(|m| m.file(DATASTORE, path))?;
        let size = usize::try_from(stored.content.size()).unwrap();
        Some(stored.content.read(0, size).to_vec())
    }

    fn machines(&self) -> usize {
        self.sim.model().read(|m| m.machines().len())
    }
}

fn document(name: &str, inner: &str) -> String {
    format!(
        "<domain type='vmware'><name>{name}</name>{inner}<memory unit='MiB'>64</memory><vcpu>1</vcpu>\
         <os><type arch='x86_64'>hvm</type></os><devices>\
         <disk type='file' device='disk'><source file='[{DATASTORE}] {DISK}'/><target dev='sda' bus='scsi'/></disk>\
         <interface type='bridge'><source bridge='VM Network'/></interface>\
         </devices></domain>"
    )
}

fn told(error: &Error) -> String {
    error.chain().collect::<Vec<_>>().join(": ")
}

fn code<T: std::fmt::Debug>(result: Result<T>) -> ErrorCode {
    result.unwrap_err().code
}

#[tokio::test]
async fn a_new_domain_is_there_with_its_file() {
    let scene = Scene::new().await;
    let uuid = "6d1f0c4e-5a1e-4b8e-9d57-0f3a2b1c4d5e";
    let domain = scene.define(&document("new one", &format!("<uuid>{uuid}</uuid>"))).await.unwrap();
    assert_eq!((domain.name.as_str(), domain.id), ("new one", None));
    assert_eq!(domain.uuid.to_string(), uuid);
    let sent = methods(&scene.sim);
    assert!(sent.contains(&"RegisterVM_Task".to_owned()), "{sent:?}");
    // Beside its disk, under the name that libvirt would give it, and of the hardware that the host makes.
    assert!(scene.file("new/new one.vmx").is_some());
    assert!(scene.has_line("new one", "virtualHW.version = \"20\""), "{}", scene.vmx("new one"));
    assert_eq!(scene.connection.domain_lookup_by_name("new one").await.unwrap(), domain);
    scene.connection.domain_create(&domain).await.unwrap();
}

#[tokio::test]
async fn disks_may_have_paths_of_the_host() {
    let scene = Scene::new().await;
    let path = format!("/vmfs/volumes/{DATASTORE}/{DISK}");
    let xml = document("x", "").replace(&format!("[{DATASTORE}] {DISK}"), &path);
    let domain = scene.define(&xml).await.unwrap();
    let source = format!("<source file='[{DATASTORE}] {DISK}'/>");
    assert!(scene.xml(&domain).await.contains(&source), "{}", scene.vmx("x"));
    let elsewhere =
        document("y", "").replace(&format!("[{DATASTORE}] {DISK}"), "/vmfs/volumes/no/y.vmdk");
    assert_eq!(code(scene.define(&elsewhere).await), ErrorCode::InvalidArg);
}

#[tokio::test]
async fn hardware_is_what_the_host_supports() {
    let sim = Simulator::builder().api_version("6.7").start().await.unwrap();
    let scene = Scene::on(sim).await;
    scene.define(&document("old", "")).await.unwrap();
    assert!(scene.has_line("old", "virtualHW.version = \"14\""), "{}", scene.vmx("old"));
}

#[tokio::test]
async fn documents_that_make_no_machine_are_refused_before_anything_is_written() {
    let scene = Scene::new().await;
    let ok = document("x", "");
    let long = "a".repeat(81);
    for (xml, expected) in [
        ("<domain".to_owned(), ErrorCode::XmlDetail),
        (document("", ""), ErrorCode::NoName),
        (document("a\nb", ""), ErrorCode::XmlDetail),
        (document(&long, ""), ErrorCode::XmlDetail),
        (ok.replace(&format!("[{DATASTORE}] {DISK}"), "/x/y.vmdk"), ErrorCode::InvalidArg),
        (ok.replace("new.vmdk", "new.img"), ErrorCode::ConfigUnsupported),
    ] {
        let error = scene.define(&xml).await.unwrap_err();
        assert_eq!(error.code, expected, "{xml}\n{}", told(&error));
    }
    let flags = DomainDefineFlags::from_bits_retain(1 << 9);
    let unknown = scene.connection.domain_define_xml_flags(&ok, flags).await;
    assert_eq!(code(unknown), ErrorCode::InvalidArg);
    assert!(!methods(&scene.sim).iter().any(|m| m == "RegisterVM_Task" || m.starts_with("PUT")));
    let valid = scene.connection.domain_define_xml_flags(&ok, DomainDefineFlags::VALIDATE).await;
    valid.unwrap();
}

#[tokio::test]
async fn a_file_of_somebody_else_is_not_overwritten() {
    let scene = Scene::new().await;
    scene.sim.model().change(|m| m.add_file(DATASTORE, "new/x.vmx", b"somebody's"));
    let error = scene.define(&document("x", "")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::OperationInvalid);
    assert_eq!(scene.file("new/x.vmx").as_deref(), Some(&b"somebody's"[..]));
}

#[tokio::test]
async fn a_refused_upload_leaves_nothing() {
    let sim = Simulator::builder()
        .plan(|arrival| {
            if arrival.line.starts_with("PUT") {
                Reaction::Refuse { status: 507, retry_after: None }
            } else {
                Reaction::Serve
            }
        })
        .start()
        .await
        .unwrap();
    let scene = Scene::on(sim).await;
    let before = scene.machines();
    assert_eq!(code(scene.define(&document("x", "")).await), ErrorCode::HttpError);
    assert_eq!((scene.machines(), scene.file("new/x.vmx")), (before, None));
    let sent = methods(&scene.sim);
    assert!(!sent.contains(&"RegisterVM_Task".to_owned()), "{sent:?}");
}

#[tokio::test]
async fn without_a_directory_the_error_says_so() {
    let scene = Scene::new().await;
    let error = scene.define(&document("x", "").replace("new/new", "none/new")).await.unwrap_err();
    assert!(told(&error).contains("directory does not exist"), "{}", told(&error));
}

#[tokio::test]
async fn a_refused_registration_takes_the_file_away() {
    let scene = Scene::new().await;
    let before = scene.machines();
    scene.sim.model().change(|m| m.deny_privilege("VirtualMachine.Inventory.Register"));
    let error = scene.define(&document("x", "")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::OperationDenied, "{}", told(&error));
    assert_eq!((scene.machines(), scene.file("new/x.vmx")), (before, None));
    assert!(scene.file(DISK).is_some(), "the disk is not ours");
}

/// What becomes of a registration that nobody can tell the end of is not known, and a registered machine needs its file.
#[tokio::test]
async fn a_registration_of_unknown_outcome_leaves_the_file() {
    let scene = Scene::new().await;
    scene.sim.model().change(Model::hold_tasks);
    let lose = async {
        scene.sim.until(|m| !m.unfinished_tasks().is_empty()).await;
        let task = scene.sim.model().read(|m| m.unfinished_tasks()[0].clone());
        assert!(scene.sim.model().change(|m| m.forget_task(&task)));
        scene.sim.model().change(Model::release_tasks);
    };
    let xml = document("x", "");
    let (defined, ()) = tokio::join!(scene.define(&xml), lose);
    let error = defined.unwrap_err();
    assert!(told(&error).contains("its file \"[datastore1] new/x.vmx\" stays"), "{}", told(&error));
    assert!(scene.file("new/x.vmx").is_some());
    assert!(!methods(&scene.sim).contains(&"DeleteDatastoreFile_Task".to_owned()));
}

#[tokio::test]
async fn without_a_disk_it_gets_a_directory_of_its_own() {
    let scene = Scene::new().await;
    let xml = "<domain type='vmware'><name>diskless</name><memory unit='MiB'>64</memory>\
        <os><type arch='x86_64'>hvm</type></os></domain>";
    let domain = scene.define(xml).await.unwrap();
    let path = scene.xml(&domain).await;
    assert!(path.contains("diskless"), "{path}");
    // The same name again is taken, and what was made for it is not.
    assert_eq!(code(scene.define(xml).await), ErrorCode::DomExist);
    let scene = Scene::new().await;
    scene.sim.model().change(|m| m.deny_privilege("VirtualMachine.Inventory.Register"));
    assert_eq!(code(scene.define(xml).await), ErrorCode::OperationDenied);
    let left: Vec<_> = ["datastore1", "fast +1", "nfs-iso"]
        .into_iter()
        .filter(|store| {
            scene.sim.model().read(|m| m.file(store, "diskless/diskless.vmx")).is_some()
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn an_existing_domain_is_changed() {
    let scene = Scene::new().await;
    let domain = scene.connection.domain_lookup_by_name("vm-00001").await.unwrap();
    let xml = scene.xml(&domain).await;
    let before = scene.vmx("vm-00001");
    let same = scene.define(&xml).await.unwrap();
    assert_eq!((same, scene.vmx("vm-00001")), (domain.clone(), before.clone()));
    // Nothing to write; but who knows whether the host has read what is there.
    let sent = methods(&scene.sim);
    assert_eq!(sent.iter().filter(|method| *method == "Reload").count(), 1, "{sent:?}");
    assert_eq!(scene.sim.transfers().bytes_in, 0);
    let count = scene.machines();
    let more = xml
        .replace("2097152", "4194304")
        .replace("<on_poweroff>", "<description>two\nlines</description><on_poweroff>");
    let changed = scene.define(&more).await.unwrap();
    assert_eq!((changed, scene.machines()), (domain.clone(), count));
    assert!(scene.has_line("vm-00001", "memSize = \"4096\""), "{}", scene.vmx("vm-00001"));
    // What the document does not speak of is as it was.
    let kept = |text: &str| -> Vec<String> {
        let skipped = |line: &&str| !line.starts_with("memSize") && !line.starts_with("annotation");
        text.lines().filter(skipped).map(str::to_owned).collect()
    };
    assert_eq!(kept(&scene.vmx("vm-00001")), kept(&before));
    let again = scene.xml(&domain).await;
    assert!(again.contains("4194304") && again.contains("<description>two\nlines"), "{again}");
    scene.connection.domain_create(&domain).await.unwrap();
}

#[tokio::test]
async fn a_redefinition_takes_few_requests() {
    let scene = Scene::new().await;
    let domain = scene.connection.domain_lookup_by_name("vm-00001").await.unwrap();
    let xml = scene.xml(&domain).await.replace("2097152", "4194304");
    scene.sim.reset_journal();
    scene.define(&xml).await.unwrap();
    let sent = methods(&scene.sim);
    // Five of them are for the file's new name: the task and the wait for it.
    assert!(sent.len() <= 13, "{sent:?}");
}

#[tokio::test]
async fn a_file_is_exchanged_as_a_whole() {
    let names = |scene: &Scene| {
        let mut names = scene.sim.model().read(|m| m.file_names(DATASTORE, "vm-00001"));
        names.sort();
        names
    };
    const VMX: &str = "vm-00001/vm-00001.vmx";
    let edited = async |scene: &Scene| {
        let domain = scene.connection.domain_lookup_by_name("vm-00001").await.unwrap();
        scene.xml(&domain).await.replace("2097152", "4194304")
    };
    // Until the new one is complete the old one is there.
    for ignores_force in [false, true] {
        let scene = Scene::new().await;
        let (old, before) = (scene.file(VMX), names(&scene));
        let seen = Arc::<Mutex<Option<Option<Vec<u8>>>>>::default();
        let copy = Arc::clone(&seen);
        scene.sim.model().change(|m| {
            m.ignore_force(ignores_force);
            m.before("MoveDatastoreFile_Task", move |model| {
                let stored = model.file(DATASTORE, VMX);
                let read = |size| usize::try_from(size).unwrap();
                let content = stored.map(|s| s.content.read(0, read(s.content.size())).to_vec());
                copy.lock().unwrap().get_or_insert(content);
            });
        });
        scene.define(&edited(&scene).await).await.unwrap();
        assert_eq!(*seen.lock().unwrap(), Some(old));
        assert!(scene.has_line("vm-00001", "memSize = \"4096\""), "{}", scene.vmx("vm-00001"));
        assert_eq!(names(&scene), before, "nothing else is left");
    }
    // A connection that breaks in the middle of it costs the new one.
    let sim = Simulator::builder().vms(2).plan(|arrival| {
        if arrival.line.starts_with("PUT") {
            Reaction::CutRequest { after: 100 }
        } else {
            Reaction::Serve
        }
    });
    let scene = Scene::on(sim.start().await.unwrap()).await;
    let (old, before) = (scene.file(VMX), names(&scene));
    scene.define(&edited(&scene).await).await.unwrap_err();
    assert_eq!((scene.file(VMX), names(&scene)), (old, before));
    // A host that does not let the file be exchanged may let it be written.
    let scene = Scene::new().await;
    let refusal = Fault::new("NotSupported", "files are not moved here");
    scene.sim.model().change(|m| m.refuse_method("MoveDatastoreFile_Task", Some(refusal)));
    let before = names(&scene);
    scene.define(&edited(&scene).await).await.unwrap();
    assert!(scene.has_line("vm-00001", "memSize = \"4096\""), "{}", scene.vmx("vm-00001"));
    assert_eq!(names(&scene), before);
}

/// The file is exchanged, and then nobody is there any more who would tell the host: the next who wants the same does.
#[tokio::test]
async fn a_redefinition_that_was_cut_off_is_completed_by_the_next() {
    let scene = Scene::new().await;
    let domain = scene.connection.domain_lookup_by_name("vm-00001").await.unwrap();
    let xml = scene.xml(&domain).await.replace("2097152", "4194304");
    let gone = Arc::new(AtomicBool::new(false));
    scene.sim.set_plan(move |arrival| {
        let reloads = arrival.method.as_deref() == Some("Reload");
        match gone.fetch_or(reloads, Ordering::SeqCst) || reloads {
            true => Reaction::Hangup { served: false },
            false => Reaction::Serve,
        }
    });
    scene.define(&xml).await.unwrap_err();
    scene.sim.set_plan(|_| Reaction::Serve);
    let file = scene.file("vm-00001/vm-00001.vmx").unwrap();
    let file = String::from_utf8(file).unwrap();
    assert!(file.contains("memSize = \"4096\""), "{file}");
    let memory = async || {
        let connection = connect(&scene.sim, "").await;
        connection.domain_get_info(&domain).await.unwrap().max_memory_kib
    };
    assert_eq!(memory().await, 2_097_152, "the host has not read it");
    scene.define(&xml).await.unwrap();
    assert_eq!(memory().await, 4_194_304);
}

#[tokio::test]
async fn name_and_uuid_belong_together() {
    let scene = Scene::new().await;
    let domain = scene.connection.domain_lookup_by_name("vm-00001").await.unwrap();
    let xml = scene.xml(&domain).await;
    let other_name = xml.replace("<name>vm-00001</name>", "<name>other</name>");
    assert_eq!(code(scene.define(&other_name).await), ErrorCode::DomExist);
    let uuid = domain.uuid.to_string();
    let other_uuid = xml.replace(&uuid, "6d1f0c4e-5a1e-4b8e-9d57-0f3a2b1c4d5e");
    assert_eq!(code(scene.define(&other_uuid).await), ErrorCode::DomExist);
}

#[tokio::test]
async fn a_machine_that_is_not_at_rest_is_left_alone() {
    let scene = Scene::new().await;
    let domain = scene.connection.domain_lookup_by_name("vm-00001").await.unwrap();
    let xml = scene.xml(&domain).await.replace("2097152", "4194304");
    let machine = scene.sim.model().read(|m| m.machine("vm-00001")).unwrap();
    for power in [PowerState::PoweredOn, PowerState::Suspended] {
        scene.sim.model().change(|m| m.set_power_state(&machine, power));
        let error = scene.define(&xml).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::OperationInvalid, "{}", told(&error));
    }
    scene.sim.model().change(|m| m.set_power_state(&machine, PowerState::PoweredOff));
    scene.sim.model().change(|m| m.ask(&machine, "Really?", &[("0", "Yes")], Some(0)));
    let error = scene.define(&xml).await.unwrap_err();
    assert!(told(&error).contains("Really?"), "{}", told(&error));
    assert!(!methods(&scene.sim).iter().any(|method| method.starts_with("PUT")));
}

#[tokio::test]
async fn what_the_host_does_not_take_is_put_back() {
    let scene = Scene::new().await;
    let domain = scene.connection.domain_lookup_by_name("vm-00001").await.unwrap();
    let before = scene.vmx("vm-00001");
    let xml = scene.xml(&domain).await.replace("2097152", "4194304");
    // Another client breaks the file between our upload and the host's look at it.
    scene.sim.model().change(|m| {
        m.before("Reload", |model| {
            let broken = FileContent::from(&b"no = VMX = file\n"[..]);
            model.add_content(DATASTORE, "vm-00001/vm-00001.vmx", broken);
        });
    });
    let error = scene.define(&xml).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::ConfigUnsupported, "{}", told(&error));
    assert_eq!(scene.vmx("vm-00001"), before);
    scene.connection.domain_lookup_by_name("vm-00001").await.unwrap();
}

#[tokio::test]
async fn an_automatic_controller_is_the_one_that_the_disk_was_made_for() {
    let scene = Scene::new().await;
    let auto = |name: &str| {
        let controller = "<controller type='scsi' index='0' model='auto'/><interface";
        document(name, "").replacen("<interface", controller, 1)
    };
    for adapter in ["lsilogic", "buslogic"] {
        scene.sim.model().change(|m| {
            let content = format!(
                "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"vmfs\"\n\
                 RW 16384 VMFS \"new-flat.vmdk\"\nddb.adapterType = \"{adapter}\"\n"
            );
            assert!(m.add_file(DATASTORE, DISK, content.as_bytes()));
        });
        scene.define(&auto(adapter)).await.unwrap();
        let line = format!("scsi0.virtualDev = \"{adapter}\"");
        assert!(scene.has_line(adapter, &line), "{}", scene.vmx(adapter));
    }
    let missing = auto("missing").replace("new/new.vmdk", "new/none.vmdk");
    assert_eq!(code(scene.define(&missing).await), ErrorCode::NoStorageVol);
}

#[tokio::test]
async fn what_a_definition_that_was_cut_off_has_left_is_no_obstacle() {
    let xml = document("x", "");
    // The file was written, or half of it; the machine was not registered.
    let scene = Scene::new().await;
    let uploaded = Arc::<Mutex<Vec<u8>>>::default();
    let copy = Arc::clone(&uploaded);
    scene.sim.model().change(|m| {
        m.before("RegisterVM_Task", move |model| {
            let stored = model.file(DATASTORE, "new/x.vmx").unwrap();
            let size = usize::try_from(stored.content.size()).unwrap();
            *copy.lock().unwrap() = stored.content.read(0, size).to_vec();
        });
    });
    let domain = scene.define(&xml).await.unwrap();
    let whole = uploaded.lock().unwrap().clone();
    for left in [&whole[..], &whole[..whole.len() / 2], b""] {
        let scene = Scene::new().await;
        scene.sim.model().change(|m| m.add_file(DATASTORE, "new/x.vmx", left));
        let again = scene.define(&xml).await.unwrap();
        assert_ne!(again.uuid, domain.uuid, "the document names none");
        scene.connection.domain_create(&again).await.unwrap();
    }
    // The directory was made, and nothing more.
    let diskless = "<domain type='vmware'><name>diskless</name><memory unit='MiB'>64</memory>\
        <os><type arch='x86_64'>hvm</type></os></domain>";
    let scene = Scene::new().await;
    scene.define(diskless).await.unwrap();
    let store = scene.sim.model().read(|m| {
        let stores = ["datastore1", "fast +1", "nfs-iso", "local (1)"];
        stores.into_iter().find(|store| m.file(store, "diskless/diskless.vmx").is_some())
    });
    let scene = Scene::new().await;
    scene.sim.model().change(|m| m.add_file(store.unwrap(), "diskless/other.txt", b"somebody's"));
    scene.sim.model().change(|m| m.deny_privilege("VirtualMachine.Inventory.Register"));
    assert_eq!(code(scene.define(diskless).await), ErrorCode::OperationDenied);
    let left = |path| scene.sim.model().read(|m| m.file(store.unwrap(), path)).is_some();
    assert!(!left("diskless/diskless.vmx") && left("diskless/other.txt"));
}

#[tokio::test]
async fn a_domain_is_made_and_started_in_one_call() {
    let scene = Scene::new().await;
    let create = async |xml: &str, flags| scene.connection.domain_create_xml(xml, flags).await;
    let none = DomainCreateFlags::empty();
    let uuid = "<uuid>6d1f0c4e-5a1e-4b8e-9d57-0f3a2b1c4d5e</uuid>";
    let xml = document("x", uuid).replace(
        "<interface type='bridge'>",
        "<interface type='bridge'><mac address='52:54:00:1:2:3'/>",
    );
    let domain = create(&xml, none).await.unwrap();
    assert!(domain.id.is_some());
    assert!(scene.connection.domain_is_active(&domain).await.unwrap());
    // virt-install defines the same document while the machine runs.
    assert_eq!(scene.define(&xml).await.unwrap().uuid, domain.uuid);
    let running = create(&xml, none).await.unwrap_err();
    assert_eq!(running.code, ErrorCode::OperationInvalid, "{}", told(&running));
    // What is off is changed and started.
    scene.connection.domain_destroy(&domain).await.unwrap();
    let larger = xml.replace(">64<", ">128<");
    create(&larger, DomainCreateFlags::VALIDATE).await.unwrap();
    assert!(scene.has_line("x", "memSize = \"128\""), "{}", scene.vmx("x"));
    for flags in [DomainCreateFlags::PAUSED, DomainCreateFlags::AUTODESTROY] {
        let refused = create(&document("y", ""), flags).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::InvalidArg, "{}", told(&refused));
    }
}

#[tokio::test]
async fn a_domain_that_cannot_be_started_is_not_left_behind() {
    let scene = Scene::new().await;
    let before = scene.machines();
    scene.sim.model().change(|m| m.deny_privilege("VirtualMachine.Interact.PowerOn"));
    let flags = DomainCreateFlags::empty();
    let created = scene.connection.domain_create_xml(&document("x", ""), flags).await;
    assert_eq!(code(created), ErrorCode::OperationDenied);
    assert_eq!((scene.machines(), scene.file("new/x.vmx")), (before, None));
    // One that was there before stays.
    let domain = scene.define(&document("x", "")).await.unwrap();
    let xml = scene.xml(&domain).await;
    assert_eq!(
        code(scene.connection.domain_create_xml(&xml, flags).await),
        ErrorCode::OperationDenied
    );
    assert_eq!(scene.machines(), before + 1);
}

/// The time for an operation bounds the registration, too. If the host can be kept from it, what was written is taken away.
#[tokio::test]
async fn a_registration_that_takes_too_long_is_given_up() {
    let scene = Scene::new().await;
    let options = esx_driver::OpenOptions {
        operation_timeout: Some(Duration::from_millis(200)),
        ..options(scene.sim.password())
    };
    let connection = esx_driver::open(&scene.sim.uri(), options).await.unwrap();
    let machines = scene.machines();
    for cancelable in [true, false] {
        scene.sim.model().change(Model::hold_tasks);
        let host = async {
            scene.sim.until(|m| !m.unfinished_tasks().is_empty()).await;
            let task = scene.sim.model().read(|m| m.unfinished_tasks()[0].clone());
            assert!(scene.sim.model().change(|m| m.set_cancelable(&task, cancelable)));
            if cancelable {
                // Next it is asked to remove the file, and does.
                scene.sim.until(|m| m.unfinished_tasks().iter().any(|other| *other != task)).await;
                scene.sim.model().change(Model::release_tasks);
            }
        };
        let xml = document("x", "");
        let define = connection.domain_define_xml_flags(&xml, DomainDefineFlags::empty());
        let (result, ()) = tokio::join!(define, host);
        let error = result.unwrap_err();
        assert_eq!(error.code, ErrorCode::OperationTimeout, "{error}");
        assert_eq!(scene.machines(), machines);
        assert_eq!(scene.file("new/x.vmx").is_some(), !cancelable, "{error}");
        assert_eq!(told(&error).contains("stays"), !cancelable, "{error}");
    }
}
