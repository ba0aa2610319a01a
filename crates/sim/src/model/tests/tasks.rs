//! Tasks, questions and power operations.

use esx_vi_api::EnumValue;

use super::*;
use crate::model::TaskState;

fn start(client: &mut Client, machine: &MoRef, method: &str) -> MoRef {
    let task = client.result(machine.clone(), method, Object::new("")).unwrap().unwrap();
    task.as_moref().unwrap().clone()
}

/// State, progress, and the fault of a task.
fn info(client: &mut Client, task: &MoRef) -> (String, Option<i64>, Option<String>) {
    let content = client.retrieve(filter(properties("Task", &["info"]), root(task))).unwrap();
    let info = value(&content[0], "info").unwrap();
    let info = info.as_object().unwrap();
    let fault = info.get_path("error.fault").and_then(Value::as_object);
    (
        info.str("state").unwrap().to_owned(),
        info.get("progress").and_then(Value::as_i64),
        fault.map(|fault| fault.type_name.clone().into_owned()),
    )
}

fn power(client: &mut Client, machine: &MoRef) -> String {
    let spec = filter(properties("VirtualMachine", &["runtime.powerState"]), root(machine));
    let content = client.retrieve(spec).unwrap();
    value(&content[0], "runtime.powerState").unwrap().as_str().unwrap().to_owned()
}

fn question(client: &mut Client, machine: &MoRef) -> Option<Object> {
    let spec = filter(properties("VirtualMachine", &["runtime.question"]), root(machine));
    let content = client.retrieve(spec).unwrap();
    value(&content[0], "runtime.question").and_then(|v| v.as_object().cloned())
}

fn answer(client: &mut Client, machine: &MoRef, choice: &str) -> Result<Answer, Fault> {
    let id = question(client, machine).unwrap().str("id").unwrap().to_owned();
    let args = Object::new("").with("questionId", id).with("answerChoice", choice);
    client.call(machine.clone(), "AnswerVM", args)
}

fn success() -> (String, Option<i64>, Option<String>) {
    ("success".to_owned(), Some(100), None)
}

fn running(progress: i64) -> (String, Option<i64>, Option<String>) {
    ("running".to_owned(), Some(progress), None)
}

fn failed(fault: &str, progress: i64) -> (String, Option<i64>, Option<String>) {
    ("error".to_owned(), Some(progress), Some(fault.to_owned()))
}

#[test]
fn power_operations_know_the_state() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("twin-b");
    for (method, outcome, state) in [
        ("PowerOffVM_Task", failed("InvalidPowerState", 0), "poweredOff"),
        ("SuspendVM_Task", failed("InvalidPowerState", 0), "poweredOff"),
        ("ResetVM_Task", failed("InvalidPowerState", 0), "poweredOff"),
        ("PowerOnVM_Task", success(), "poweredOn"),
        ("PowerOnVM_Task", failed("InvalidPowerState", 0), "poweredOn"),
        ("ResetVM_Task", success(), "poweredOn"),
        ("SuspendVM_Task", success(), "suspended"),
        ("PowerOffVM_Task", failed("InvalidPowerState", 0), "suspended"),
        ("PowerOnVM_Task", success(), "poweredOn"),
        ("PowerOffVM_Task", success(), "poweredOff"),
    ] {
        let task = start(&mut client, &machine, method);
        assert_eq!(info(&mut client, &task), outcome, "{method}");
        assert_eq!(power(&mut client, &machine), state, "{method}");
    }
    let template = client.machine("debian-template");
    let task = start(&mut client, &template, "PowerOnVM_Task");
    assert_eq!(info(&mut client, &task), failed("NotSupported", 0));
    let lost = client.machine("lost");
    let task = start(&mut client, &lost, "PowerOnVM_Task");
    assert_eq!(info(&mut client, &task), failed("InvalidState", 0));
}

#[test]
fn the_fault_names_both_states() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("twin-b");
    let task = start(&mut client, &machine, "SuspendVM_Task");
    let content =
        client.retrieve(filter(properties("Task", &["info.error"]), root(&task))).unwrap();
    let error = value(&content[0], "info.error").unwrap();
    let fault = error.as_object().unwrap().get("fault").unwrap().as_object().unwrap();
    let state =
        |name: &'static str| Some(Value::from(EnumValue::new("VirtualMachinePowerState", name)));
    assert_eq!(fault.get("requestedState").cloned(), state("suspended"));
    assert_eq!(fault.get("existingState").cloned(), state("poweredOff"));
}

#[test]
fn guests_shut_down_by_themselves() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("web01");
    let done =
        |client: &mut Client, method: &str| client.result(machine.clone(), method, Object::new(""));
    client.model.set_tools_running(&machine, false);
    assert_eq!(done(&mut client, "ShutdownGuest"), Err("ToolsUnavailable".to_owned()));
    client.model.set_tools_running(&machine, true);
    client.model.hold_tasks();
    assert_eq!(done(&mut client, "ShutdownGuest"), Ok(None));
    assert_eq!(power(&mut client, &machine), "poweredOn");
    assert!(client.model.finish_guest(&machine));
    assert!(!client.model.finish_guest(&machine));
    assert_eq!(power(&mut client, &machine), "poweredOff");
    assert_eq!(done(&mut client, "RebootGuest"), Err("InvalidPowerState".to_owned()));
}

#[test]
fn tasks_take_their_time() {
    let mut client = Client::logged_in(Preset::Esx);
    client.model.set_task_duration(Duration::from_secs(8));
    let machine = client.machine("web01");
    let task = start(&mut client, &machine, "PowerOffVM_Task");
    assert_eq!(info(&mut client, &task), running(0));
    for (after, progress) in [(2, 25), (3, 25), (6, 75)] {
        client.model.tick(NOW.after(Duration::from_secs(after)));
        assert_eq!(info(&mut client, &task), running(progress));
        assert_eq!(power(&mut client, &machine), "poweredOn");
    }
    client.model.tick(NOW.after(Duration::from_secs(8)));
    assert_eq!(info(&mut client, &task), success());
    assert_eq!(power(&mut client, &machine), "poweredOff");
    assert_eq!(client.model.tasks(), [task]);
    client.model.tick(NOW.after(Duration::from_secs(700)));
    assert_eq!(client.model.tasks(), []);
}

#[test]
fn a_waiting_client_is_called_when_a_task_moves() {
    let mut client = Client::logged_in(Preset::Esx);
    client.model.set_task_duration(Duration::from_secs(8));
    let machine = client.machine("web01");
    let task = start(&mut client, &machine, "PowerOffVM_Task");
    let collector = client.manager("propertyCollector");
    let args = Object::new("")
        .with("spec", filter(properties("Task", &["info.progress", "info.state"]), root(&task)))
        .with("partialUpdates", true);
    client.result(collector.clone(), "CreateFilter", args).unwrap();
    let wait = |version: &str| Object::new("").with("version", version);
    client.result(collector.clone(), "WaitForUpdates", wait("")).unwrap();
    assert_eq!(
        client.call(collector, "WaitForUpdates", wait("1")),
        Ok(Answer::Wait { until: Some(NOW.after(Duration::from_secs(2))) })
    );
}

#[test]
fn held_tasks_go_where_they_are_pushed() {
    let mut client = Client::logged_in(Preset::Esx);
    client.model.queue_tasks();
    let machine = client.machine("twin-b");
    let task = start(&mut client, &machine, "PowerOnVM_Task");
    assert_eq!(info(&mut client, &task), ("queued".to_owned(), None, None));
    let busy = client.refused(
        &machine,
        "ReconfigVM_Task",
        Object::new("").with("spec", Object::new("VirtualMachineConfigSpec")),
    );
    assert_eq!(busy.type_name, "TaskInProgress");
    assert_eq!(busy.get("task"), Some(&Value::from(&task)));
    assert!(client.model.step_task(&task, 40));
    assert_eq!(info(&mut client, &task), running(40));
    assert_eq!(client.refused(&task, "CancelTask", Object::new("")).type_name, "NotSupported");
    client.model.set_cancelable(&task, true);
    assert_eq!(client.result(task.clone(), "CancelTask", Object::new("")), Ok(None));
    assert_eq!(info(&mut client, &task), failed("RequestCanceled", 40));
    assert_eq!(client.refused(&task, "CancelTask", Object::new("")).type_name, "InvalidState");
    assert!(!client.model.step_task(&task, 50) && !client.model.finish_task(&task));

    client.model.hold_tasks();
    let task = start(&mut client, &machine, "PowerOnVM_Task");
    assert!(client.model.fail_task(&task, Fault::new("InsufficientResourcesFault", "no room")));
    assert_eq!(info(&mut client, &task), failed("InsufficientResourcesFault", 0));
    let task = start(&mut client, &machine, "PowerOnVM_Task");
    assert_eq!(client.model.task_state(&task), Some(TaskState::Running));
    assert!(client.model.forget_task(&task));
    let gone = client.retrieve(filter(properties("Task", &["info"]), root(&task))).unwrap_err();
    assert_eq!(gone, "ManagedObjectNotFound");
    assert_eq!(power(&mut client, &machine), "poweredOff");
    let task = start(&mut client, &machine, "PowerOnVM_Task");
    client.model.release_tasks();
    assert_eq!(info(&mut client, &task), success());
    // The newest tasks are seen on the machine and on the manager.
    for (object, class) in
        [(machine, "VirtualMachine"), (client.manager("taskManager"), "TaskManager")]
    {
        let content =
            client.retrieve(filter(properties(class, &["recentTask"]), root(&object))).unwrap();
        assert_eq!(value(&content[0], "recentTask").unwrap().items().len(), 3);
    }
}

#[test]
fn the_file_of_a_serial_port_asks() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("console01");
    // The first start makes the file.
    let task = start(&mut client, &machine, "PowerOnVM_Task");
    assert_eq!(info(&mut client, &task), success());
    start(&mut client, &machine, "PowerOffVM_Task");

    let task = start(&mut client, &machine, "PowerOnVM_Task");
    assert_eq!(info(&mut client, &task), running(95));
    let asked = question(&mut client, &machine).unwrap();
    assert!(asked.str("text").unwrap().contains("serial.log"), "{asked:?}");
    let choice = asked.get("choice").unwrap().as_object().unwrap();
    assert_eq!(choice.get("choiceInfo").unwrap().items().len(), 3);
    assert_eq!(choice.get("defaultIndex").and_then(Value::as_i64), Some(0));
    let wrong = answer(&mut client, &machine, "nonsense").unwrap_err();
    assert_eq!(wrong.detail.str("invalidProperty"), Some("answerChoice"));
    answer(&mut client, &machine, "button.serial.file.cancel").unwrap();
    assert_eq!(info(&mut client, &task), failed("GenericVmConfigFault", 95));
    assert_eq!(power(&mut client, &machine), "poweredOff");

    let task = start(&mut client, &machine, "PowerOnVM_Task");
    answer(&mut client, &machine, "button.serial.file.append").unwrap();
    assert_eq!(info(&mut client, &task), success());
    assert_eq!(question(&mut client, &machine), None);
    let late = Object::new("").with("questionId", "1").with("answerChoice", "x");
    let late = client.refused(&machine, "AnswerVM", late);
    assert_eq!(late.type_name, "InvalidArgument");
}

#[test]
fn questions_come_one_by_one() {
    let mut client = Client::logged_in(Preset::Esx);
    client.model.hold_tasks();
    let machine = client.machine("twin-b");
    let task = start(&mut client, &machine, "PowerOnVM_Task");
    let choices = [("a", "Yes"), ("b", "No")];
    let first = client.model.ask(&machine, "first?", &choices, Some(1)).unwrap();
    let second = client.model.ask(&machine, "second?", &choices, None).unwrap();
    assert_eq!(client.model.questions(&machine), [first.as_str(), second.as_str()]);
    assert_eq!(info(&mut client, &task), running(95));
    // Its time has come, but there are questions.
    assert!(client.model.finish_task(&task));
    assert_eq!(info(&mut client, &task), running(95));
    answer(&mut client, &machine, "a").unwrap();
    assert_eq!(info(&mut client, &task), running(95));
    assert!(client.model.answer(&machine, &first, "a").is_err());
    client.model.answer(&machine, &second, "b").unwrap();
    assert_eq!(info(&mut client, &task), success());
    // Without a task.
    client.model.ask(&machine, "third?", &choices, Some(7)).unwrap();
    assert!(client.model.withdraw_question(&machine));
    assert!(!client.model.withdraw_question(&machine));
}

#[test]
fn hooks_come_right_before_their_call() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("twin-b");
    let target = machine.clone();
    client.model.before("CurrentTime", move |model| {
        model.set_power_state(&target, PowerState::Suspended);
    });
    assert_eq!(power(&mut client, &machine), "poweredOff");
    let instance = MoRef::new("ServiceInstance", "ServiceInstance");
    client.result(instance, "CurrentTime", Object::new("")).unwrap();
    assert_eq!(power(&mut client, &machine), "suspended");
}

#[test]
fn a_host_may_refuse_everything() {
    let mut client = Client::logged_in(Preset::Esx);
    let machine = client.machine("twin-b");
    let refused = |client: &mut Client| client.refused(&machine, "PowerOnVM_Task", Object::new(""));
    client.model.set_free_license(true);
    assert_eq!(refused(&mut client).type_name, "RestrictedVersion");
    client.model.set_free_license(false);
    let host = client.model.hosts()[0].clone();
    client.model.set_managed_by(&host, Some("10.9.8.7"));
    assert_eq!(refused(&mut client).str("managementServer"), Some("10.9.8.7"));
    client.model.set_managed_by(&host, None);
    client.model.deny_privilege("VirtualMachine.Interact.PowerOn");
    assert_eq!(refused(&mut client).str("privilegeId"), Some("VirtualMachine.Interact.PowerOn"));
    let suspend = start(&mut client, &machine, "SuspendVM_Task");
    assert_eq!(info(&mut client, &suspend), failed("InvalidPowerState", 0));

    let mut client = Client::logged_in(Preset::Esx);
    client.model.set_maintenance_mode(&host, true);
    let task = start(&mut client, &machine, "PowerOnVM_Task");
    assert_eq!(info(&mut client, &task), failed("InvalidState", 0));
}
