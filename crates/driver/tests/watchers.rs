//! Who has a say, or an ear, while operations run: policies, progress, the timeout; questions looked at by hand.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{methods, options};
use esx_driver::{Connection, OpenOptions};
use esx_sim::model::{Model, TaskState};
use esx_sim::{PowerState, Running, Simulator};
use virt_api::{
    Domain, DomainProgress, DomainQuestion, Driver as _, ErrorCode, ExportOptions, Hypervisor as _,
    NoFlags, ProgressCallback, SnapshotCreateFlags, Snapshots, Storage as _, StorageVolCreateFlags,
    VolumeProgress,
};

const NAME: &str = "storage01";
const NONE: NoFlags = NoFlags::empty();
const CHOICES: [(&str, &str); 3] = [("a", "Append"), ("r", "Replace"), ("c", "Cancel")];

/// A host whose tasks wait to be pushed.
async fn host() -> Running {
    let sim = Simulator::builder().start().await.unwrap();
    sim.model().change(Model::hold_tasks);
    sim
}

async fn open(sim: &Running, options: OpenOptions) -> (Connection, Domain) {
    let connection = esx_driver::open(&sim.uri(), options).await.unwrap();
    let domain = connection.domain_lookup_by_name(NAME).await.unwrap();
    (connection, domain)
}

/// Chooses the answer with this label; notes what it was asked.
fn policy(label: &'static str, asked: &Arc<Mutex<Vec<DomainQuestion>>>) -> OpenOptions {
    let asked = Arc::clone(asked);
    let choose = move |question: &DomainQuestion| {
        asked.lock().unwrap().push(question.clone());
        question.choices.iter().position(|choice| choice.label == label)
    };
    OpenOptions { questions: Some(Arc::new(choose)), ..options("pass") }
}

#[tokio::test]
async fn a_policy_chooses_and_is_told_who_asks() {
    let sim = host().await;
    let asked = Arc::default();
    let (connection, domain) = open(&sim, policy("Replace", &asked)).await;
    let machine = sim.model().read(|m| m.machine(NAME)).unwrap();
    let asking = machine.clone();
    sim.model().change(|model| {
        model.before("PowerOnVM_Task", move |model| {
            model.before("WaitForUpdatesEx", move |model| {
                model.ask(&asking, "Well?", &CHOICES, None);
                let task = model.task_of(&asking).unwrap();
                assert!(model.finish_task(&task)); // as soon as it is answered
            });
        });
    });
    connection.domain_create(&domain).await.unwrap();
    assert_eq!(sim.model().read(|m| m.power_state(&machine)), Some(PowerState::PoweredOn));
    let asked = asked.lock().unwrap().clone();
    let [question] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((&question.domain, question.default), (&domain, None));
    assert_eq!(question.text, "msg.test:Well?");
    let labels: Vec<_> = question.choices.iter().map(|choice| choice.label.as_str()).collect();
    assert_eq!(labels, ["Append", "Replace", "Cancel"]);
}

#[tokio::test]
async fn what_a_policy_leaves_open_is_open() {
    let sim = host().await;
    let asked = Arc::default();
    let (connection, domain) = open(&sim, policy("Perhaps", &asked)).await;
    let machine = sim.model().read(|m| m.machine(NAME)).unwrap();
    sim.model().change(|m| m.ask(&machine, "Well?", &CHOICES, Some(0)));
    let error = connection.domain_create(&domain).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::OperationInvalid);
    assert_eq!(asked.lock().unwrap().len(), 1);
    assert!(!methods(&sim).iter().any(|m| m == "AnswerVM" || m == "PowerOnVM_Task"));
}

#[tokio::test]
async fn questions_are_listed_with_one_request_and_answered() {
    let sim = host().await;
    let (connection, domain) = open(&sim, options("pass")).await;
    let (one, two) = sim.model().read(|m| (m.machine(NAME).unwrap(), m.machine("web01").unwrap()));
    sim.model().change(|m| {
        m.ask(&one, "Well?", &CHOICES, Some(7));
        m.ask(&two, "What?", &CHOICES[..1], Some(0));
    });
    sim.reset_journal();
    let all = connection.questions().list_questions(None).await.unwrap();
    assert_eq!(methods(&sim), ["RetrievePropertiesEx"]);
    let texts: Vec<_> = all.iter().map(|q| (q.domain.name.as_str(), q.text.as_str())).collect();
    assert_eq!(texts.len(), 2);
    assert!(
        texts.contains(&(NAME, "msg.test:Well?")) && texts.contains(&("web01", "msg.test:What?"))
    );
    let [mine] = &connection.questions().list_questions(Some(&domain)).await.unwrap()[..] else {
        panic!("the domain asks one thing")
    };
    assert_eq!(mine.default, None, "the host's default points past the end");
    let wrong = connection.questions().answer_question(mine, "x").await.unwrap_err();
    assert_eq!(wrong.code, ErrorCode::InvalidArg);
    connection.questions().answer_question(mine, "r").await.unwrap();
    let twice = connection.questions().answer_question(mine, "r").await.unwrap_err();
    assert_eq!(twice.code, ErrorCode::InvalidArg);
    assert!(connection.questions().list_questions(Some(&domain)).await.unwrap().is_empty());
}

#[tokio::test]
async fn documents_of_all_snapshots_cost_no_more_than_one() {
    let sim = Simulator::builder().start().await.unwrap();
    let (connection, _) = open(&sim, options("pass")).await;
    let web = connection.domain_lookup_by_name("web01").await.unwrap();
    let flags = virt_api::SnapshotListFlags::empty();
    let snapshots = connection.domain_list_all_snapshots(&web, flags).await.unwrap();
    assert!(snapshots.len() > 2);
    let flags = virt_api::SnapshotXmlFlags::empty();
    sim.reset_journal();
    let documents = connection.domain_snapshots_get_xml_desc(&snapshots, flags).await.unwrap();
    let all = methods(&sim).len();
    let mut one_by_one = Vec::new();
    for snapshot in &snapshots {
        one_by_one.push(connection.domain_snapshot_get_xml_desc(snapshot, flags).await.unwrap());
    }
    assert_eq!(methods(&sim).len(), all * snapshots.len());
    let documents: Vec<_> = documents.into_iter().map(Result::unwrap).collect();
    assert_eq!(documents, one_by_one);
}

#[tokio::test]
async fn progress_is_told_once_per_percent() {
    let sim = host().await;
    let (send, mut told) = tokio::sync::mpsc::unbounded_channel();
    let hear = move |progress: &DomainProgress| send.send(progress.clone()).unwrap();
    let (connection, domain) =
        open(&sim, OpenOptions { progress: Some(Arc::new(hear)), ..options("pass") }).await;
    let machine = sim.model().read(|m| m.machine(NAME)).unwrap();
    let push = async {
        sim.until(|m| m.task_of(&machine).is_some()).await;
        let task = sim.model().read(|m| m.task_of(&machine)).unwrap();
        let mut seen = Vec::new();
        for percent in [30, 30, 60] {
            assert!(sim.model().change(|m| m.step_task(&task, percent)));
            while seen.last().is_none_or(|last: &DomainProgress| last.percent != percent) {
                seen.push(told.recv().await.unwrap());
            }
        }
        assert!(sim.model().change(|m| m.finish_task(&task)));
        seen
    };
    let xml = "<domainsnapshot><name>s</name></domainsnapshot>";
    let flags = SnapshotCreateFlags::empty();
    let (result, mut seen) =
        tokio::join!(connection.domain_snapshot_create_xml(&domain, xml, flags), push);
    result.unwrap();
    drop(connection);
    while let Ok(progress) = told.try_recv() {
        seen.push(progress);
    }
    assert!(seen.iter().all(|p| p.domain == domain && p.operation == "snapshot-create"));
    let percents: Vec<_> = seen.iter().map(|p| p.percent).filter(|p| *p > 0).collect();
    assert_eq!(percents, [30, 60, 100]);
}

/// Hears of volumes only.
struct Volumes(tokio::sync::mpsc::UnboundedSender<VolumeProgress>);

impl ProgressCallback for Volumes {
    fn progress(&self, progress: &DomainProgress) {
        panic!("no machine is worked on: {progress:?}");
    }

    fn volume_progress(&self, progress: &VolumeProgress) {
        self.0.send(progress.clone()).unwrap();
    }
}

#[tokio::test]
async fn progress_of_volumes_is_told() {
    let sim = Simulator::builder().start().await.unwrap();
    let (send, mut told) = tokio::sync::mpsc::unbounded_channel();
    let hear: Arc<dyn ProgressCallback> = Arc::new(Volumes(send));
    let options = OpenOptions { progress: Some(hear), ..options("pass") };
    let (connection, _) = open(&sim, options).await;
    let pool = connection.storage_pool_lookup_by_name("datastore1").await.unwrap();
    let xml = "<volume><name>v/d.vmdk</name><capacity unit='MiB'>8</capacity></volume>";
    let volume = connection
        .storage_vol_create_xml(&pool, xml, StorageVolCreateFlags::empty())
        .await
        .unwrap();
    while told.try_recv().is_ok() {}

    sim.model().change(Model::hold_tasks);
    let push = async {
        sim.until(|m| !m.unfinished_tasks().is_empty()).await;
        let task = sim.model().read(|m| m.unfinished_tasks()[0].clone());
        let mut seen = Vec::new();
        for percent in [40, 70] {
            assert!(sim.model().change(|m| m.step_task(&task, percent)));
            while seen.last().is_none_or(|last: &VolumeProgress| last.percent != percent) {
                seen.push(told.recv().await.unwrap());
            }
        }
        assert!(sim.model().change(|m| m.finish_task(&task)));
        seen
    };
    let (result, seen) = tokio::join!(connection.storage_vol_wipe(&volume, NONE), push);
    result.unwrap();
    for progress in &seen {
        let (pool, name) = (progress.pool.as_str(), progress.volume.as_str());
        assert_eq!((pool, name, progress.operation), ("datastore1", "v/d.vmdk", "wipe"));
    }
    let percents: Vec<_> = seen.iter().map(|p| p.percent).filter(|p| *p > 0).collect();
    assert_eq!(percents, [40, 70]);
}

#[tokio::test]
async fn progress_is_a_stream_that_ends_with_the_connection() {
    let sim = host().await;
    let (connection, domain) = open(&sim, options("pass")).await;
    let machine = sim.model().read(|m| m.machine(NAME)).unwrap();
    let mut stream = connection.progress().unwrap();
    let mut unread = connection.progress().unwrap();
    let listen = async {
        sim.until(|m| m.task_of(&machine).is_some()).await;
        let task = sim.model().read(|m| m.task_of(&machine)).unwrap();
        for percent in [25, 75] {
            assert!(sim.model().change(|m| m.step_task(&task, percent)));
            loop {
                let told = stream.next().await.unwrap();
                assert_eq!((&told.domain, told.operation), (&domain, "snapshot-create"));
                if told.percent == percent {
                    break;
                }
            }
        }
        assert!(sim.model().change(|m| m.finish_task(&task)));
    };
    let xml = "<domainsnapshot><name>s</name></domainsnapshot>";
    let flags = SnapshotCreateFlags::empty();
    let (result, ()) =
        tokio::join!(connection.domain_snapshot_create_xml(&domain, xml, flags), listen);
    result.unwrap();
    connection.close().await.unwrap();
    assert_eq!(stream.next().await.unwrap().percent, 100);
    assert_eq!(stream.next().await, None);
    let mut kept = Vec::new();
    while let Some(told) = unread.next().await {
        kept.push(told.percent);
    }
    assert!(kept.ends_with(&[25, 75, 100]), "{kept:?}");
    assert_eq!(connection.progress().unwrap().next().await, None, "closed before it was asked for");
}

#[tokio::test]
async fn an_operation_that_takes_too_long_is_given_up() {
    let sim = host().await;
    let by_option = OpenOptions { operation_timeout: Some(Duration::ZERO), ..options("pass") };
    let (first, domain) = open(&sim, by_option).await;
    let by_uri = format!("{}&task_timeout=0.001", sim.uri());
    let second = esx_driver::open(&by_uri, options("pass")).await.unwrap();
    for connection in [first, second] {
        let xml = "<domainsnapshot><name>s</name></domainsnapshot>";
        let flags = SnapshotCreateFlags::empty();
        let error = connection.domain_snapshot_create_xml(&domain, xml, flags).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::OperationTimeout);
        assert_eq!(sim.model().read(|m| m.unfinished_tasks().len()), 0, "it was cancelled");
    }
}

#[tokio::test]
async fn a_job_is_aborted_for_whoever_waits_for_it() {
    let sim = host().await;
    let (connection, domain) = open(&sim, options("pass")).await;
    let (other, same) = open(&sim, options("pass")).await;
    let machine = sim.model().read(|m| m.machine(NAME)).unwrap();
    let xml = "<domainsnapshot><name>s</name></domainsnapshot>";
    let flags = SnapshotCreateFlags::empty();
    let abort = async {
        sim.until(|m| m.task_of(&machine).is_some()).await;
        other.domain_abort_job(&same).await
    };
    let (result, aborted) =
        tokio::join!(connection.domain_snapshot_create_xml(&domain, xml, flags), abort);
    aborted.unwrap();
    assert_eq!(result.unwrap_err().code, ErrorCode::OperationAborted);
    let nothing = other.domain_abort_job(&same).await.unwrap_err();
    assert_eq!(nothing.code, ErrorCode::OperationInvalid);
    let add = |m: &mut Model| m.add_task(&machine, "PowerOnVM_Task", TaskState::Running);
    sim.model().change(add).unwrap();
    let kept = other.domain_abort_job(&same).await.unwrap_err();
    assert_eq!(kept.code, ErrorCode::OperationUnsupported);
}

/// The time for the snapshot is over, the host cannot be kept from making it: it is taken away once it is there.
#[tokio::test]
async fn an_export_takes_a_late_snapshot_away() {
    let sim = Simulator::builder().start().await.unwrap();
    let timeout = Some(Duration::from_secs(1));
    let options = OpenOptions { operation_timeout: timeout, ..options("pass") };
    let connection = esx_driver::open(&sim.uri(), options).await.unwrap();
    let domain = connection.domain_lookup_by_name("web01").await.unwrap();
    let machine = sim.model().read(|m| m.machine("web01")).unwrap();
    sim.model().change(Model::hold_tasks);
    let late = async {
        sim.until(|m| m.task_of(&machine).is_some()).await;
        let task = sim.model().read(|m| m.task_of(&machine)).unwrap();
        assert!(sim.model().change(|m| m.set_cancelable(&task, false)));
        // It was given up, and looked for: then it is there.
        let last = || methods(&sim).last().cloned().unwrap_or_default();
        while last() != "RetrievePropertiesEx" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sim.model().change(Model::release_tasks);
        sim.model().change(|m| m.finish_task(&task));
    };
    let (export, ()) =
        tokio::join!(connection.domain_export(&domain, ExportOptions::default()), late);
    assert!(export.is_err());
    let flags = virt_api::SnapshotListFlags::empty();
    let left = connection.domain_list_all_snapshots(&domain, flags).await.unwrap();
    assert!(left.iter().all(|s| !s.name.starts_with("virtesx-export")), "{left:?}");
    assert!(methods(&sim).iter().any(|m| m == "RemoveSnapshot_Task"));
}
