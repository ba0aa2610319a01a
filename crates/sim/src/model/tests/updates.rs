//! Filters and their updates.

use super::*;

fn wait(
    client: &mut Client,
    version: &str,
    seconds: Option<i32>,
    limit: Option<i32>,
) -> Result<Answer, Fault> {
    let options = Object::new("WaitOptions")
        .with_opt("maxWaitSeconds", seconds)
        .with_opt("maxObjectUpdates", limit);
    let args = Object::new("").with("version", version).with("options", options);
    client.call(client.manager("propertyCollector"), "WaitForUpdatesEx", args)
}

fn updates(answer: Result<Answer, Fault>) -> (String, Vec<(String, String)>, bool) {
    let Ok(Answer::Result(Some(Value::Object(set)))) = answer else { panic!("{answer:?}") };
    let truncated = set.get("truncated").and_then(Value::as_bool).unwrap_or(false);
    let updates =
        set.get("filterSet").unwrap().items().iter().flat_map(|filter| {
            filter.as_object().unwrap().get("objectSet").unwrap().items().to_vec()
        });
    let updates = updates
        .filter_map(|update| {
            let update = update.as_object()?;
            Some((update.str("kind")?.to_owned(), update.get("obj")?.as_moref()?.value.clone()))
        })
        .collect();
    (set.str("version").unwrap().to_owned(), updates, truncated)
}

#[test]
fn updates_tell_each_change_once() {
    let mut client = Client::logged_in(Preset::Esx);
    let collector = client.manager("propertyCollector");
    let web = client.machine("web01");
    let view = container_view(&mut client, "VirtualMachine", true);
    let args = Object::new("")
        .with("spec", view_filter(&view, "VirtualMachine", &["name", "runtime.powerState"]))
        .with("partialUpdates", false);
    let made = client.result(collector.clone(), "CreateFilter", args).unwrap().unwrap();
    let made = made.as_moref().unwrap().clone();

    let (version, all, _) = updates(wait(&mut client, "", Some(0), None));
    assert_eq!(all.len(), 16);
    assert!(all.iter().all(|(kind, _)| kind == "enter"));
    assert_eq!(wait(&mut client, &version, Some(0), None), Ok(Answer::Result(None)));
    let until = NOW.after(Duration::from_secs(60));
    assert_eq!(
        wait(&mut client, &version, Some(60), None),
        Ok(Answer::Wait { until: Some(until) })
    );
    assert_eq!(wait(&mut client, &version, None, None), Ok(Answer::Wait { until: None }));

    client.model.set_power_state(&web, PowerState::PoweredOff);
    let (next, changes, _) = updates(wait(&mut client, &version, Some(0), None));
    assert_eq!(changes, [("modify".to_owned(), web.value.clone())]);
    // Who has not heard it is told again; who has, is not.
    let again = updates(wait(&mut client, &version, Some(0), None));
    assert_eq!((&again.0, &again.1), (&next, &changes));
    assert_eq!(wait(&mut client, &next, Some(0), None), Ok(Answer::Result(None)));
    assert_eq!(
        wait(&mut client, "99", Some(0), None).unwrap_err().detail.type_name,
        "InvalidCollectorVersion"
    );
    assert_eq!(
        wait(&mut client, "x", Some(0), None).unwrap_err().detail.type_name,
        "InvalidCollectorVersion"
    );

    let later = client.model.add_machine("later").unwrap();
    client.model.remove_machine(&web);
    let (version, mut changes, _) = updates(wait(&mut client, &next, Some(0), None));
    changes.sort();
    assert_eq!(changes, [("enter".to_owned(), later.value), ("leave".to_owned(), web.value)]);

    assert_eq!(client.result(made.clone(), "DestroyPropertyFilter", Object::new("")), Ok(None));
    assert_eq!(wait(&mut client, &version, Some(0), None), Ok(Answer::Result(None)));
    assert!(client.result(made, "DestroyPropertyFilter", Object::new("")).is_err());
}

#[test]
fn updates_come_in_portions() {
    let mut client = Client::logged_in(Preset::Esx);
    let collector = client.manager("propertyCollector");
    let view = container_view(&mut client, "VirtualMachine", true);
    let args = Object::new("")
        .with("spec", view_filter(&view, "VirtualMachine", &["name"]))
        .with("partialUpdates", true);
    client.result(collector, "CreateFilter", args).unwrap();
    let mut version = String::new();
    let mut seen = Vec::new();
    for (count, more) in [(6, true), (6, true), (4, false)] {
        let (next, portion, truncated) = updates(wait(&mut client, &version, Some(0), Some(6)));
        assert_eq!((portion.len(), truncated), (count, more));
        seen.extend(portion);
        version = next;
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 16);
}

#[test]
fn a_wait_can_be_cancelled() {
    let mut client = Client::logged_in(Preset::Esx);
    let arrived = client.now;
    assert_eq!(wait(&mut client, "", None, None), Ok(Answer::Wait { until: None }));
    client.now = arrived.after(Duration::from_secs(1));
    let collector = client.manager("propertyCollector");
    assert_eq!(client.result(collector.clone(), "CancelWaitForUpdates", Object::new("")), Ok(None));
    let request = Request {
        method: "WaitForUpdatesEx".to_owned(),
        this: collector,
        args: Object::new("").with("version", ""),
    };
    let cookie = client.cookie.clone();
    let caller = Caller { cookie: cookie.as_deref(), dialect: NEWEST, now: client.now, arrived };
    assert_eq!(
        client.model.call(&request, &caller).unwrap_err().detail.type_name,
        "RequestCanceled"
    );
    // A later wait is none of the cancelled ones.
    assert_eq!(wait(&mut client, "", None, None), Ok(Answer::Wait { until: None }));
}
