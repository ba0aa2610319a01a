//! Open questions of machines, looked at and answered by hand. Beyond libvirt's ESX driver.

use async_trait::async_trait;
use esx_task::{Question, TaskState};
use esx_vi_api::Value;
use esx_vi_api::methods::{AnswerVM, CancelTask};
use esx_vi_api::properties::ObjectRow;
use esx_vi_client::{Retrieval, traversal};
use virt_api::{
    Domain, DomainQuestion, Error, ErrorCode, ErrorDomain, QuestionChoice, Questions, Result,
};

use super::lookup::Wanted;
use super::{Machine, identity_paths};
use crate::connection::{Connection, Session};
use crate::error::vi_error;

/// The machine's property that holds its open question.
const QUESTION: &str = "runtime.question";

/// A question in libvirt's words.
pub(super) fn shown(domain: &Domain, question: &Question) -> DomainQuestion {
    let choice = |choice: &esx_task::Choice| QuestionChoice {
        key: choice.key.clone(),
        label: choice.label.clone(),
    };
    DomainQuestion {
        domain: domain.clone(),
        id: question.id.clone(),
        text: question.text.clone(),
        choices: question.choices.iter().map(choice).collect(),
        default: question.default.filter(|index| *index < question.choices.len()),
    }
}

fn read(row: &ObjectRow, domain: &Domain) -> Option<DomainQuestion> {
    let value: Value = row.get(QUESTION).ok().flatten()?;
    Some(shown(domain, &Question::from_value(&value)))
}

#[async_trait]
impl Questions for Connection {
    /// One request, and one per further page; of one domain those of its look-up.
    async fn list_questions(&self, domain: Option<&Domain>) -> Result<Vec<DomainQuestion>> {
        let session = &self.session;
        if let Some(domain) = domain {
            let wanted = Wanted { paths: &[QUESTION], autostart: false };
            let found = session.find_domain(domain, wanted).await?;
            return Ok(read(&found.row, &found.machine.domain).into_iter().collect());
        }
        let uuid_path = session.uuid_path();
        let mut paths = identity_paths(uuid_path);
        paths.push(QUESTION);
        let found = session.client.retrieve(&session.machines_retrieval(&paths)).await;
        let found = found.map_err(|e| vi_error("cannot list the questions of domains", e))?;
        let asked = found.of("VirtualMachine").filter_map(|row| {
            let machine = Machine::read(row, uuid_path);
            session.remember(&machine);
            read(row, &machine.domain)
        });
        Ok(asked.collect())
    }

    async fn answer_question(&self, question: &DomainQuestion, key: &str) -> Result<()> {
        self.session.check_writable("answer_question")?;
        let name = &question.domain.name;
        let machine = self.session.sure_machine_of(&question.domain).await?;
        let call = AnswerVM { question_id: question.id.clone(), answer_choice: key.to_owned() };
        let failed = |e| vi_error(&format!("cannot answer the question of domain {name:?}"), e);
        self.session.client.call(&machine, &call).await.map_err(failed)
    }
}

impl Session {
    /// libvirt `virDomainAbortJob`: cancels every unfinished task of the machine that can be cancelled, whoever has started
    /// it. Who waits for it learns that it was.
    pub(crate) async fn abort_job(&self, domain: &Domain) -> Result<()> {
        self.check_writable("virDomainAbortJob")?;
        let what = format!("cannot stop what is done to domain {:?}", domain.name);
        // What is cancelled are tasks of this machine, never of one that has its reference by now.
        let machine = self.sure_machine_of(domain).await?;
        let retrieval = Retrieval::from(&machine)
            .via([traversal("recentTask", "VirtualMachine", "recentTask", [])])
            .read("Task", ["info.cancelable", "info.descriptionId", "info.state"]);
        let found = self.client.retrieve(&retrieval).await.map_err(|e| vi_error(&what, e))?;
        let mut kept = None;
        let mut cancelled = false;
        for task in found.of("Task") {
            let text = |path| task.get_lenient::<Value>(path).ok().flatten();
            let state = text("info.state");
            let state = state.as_ref().and_then(Value::as_str).map(TaskState::parse);
            if !state.is_some_and(TaskState::is_unfinished) {
                continue;
            }
            if text("info.cancelable").as_ref().and_then(Value::as_bool) == Some(false) {
                let name = text("info.descriptionId");
                kept = name.as_ref().and_then(Value::as_str).map(str::to_owned);
                continue;
            }
            let call = self.client.call(&task.moref, &CancelTask {}).await;
            call.map_err(|e| vi_error(&what, e))?;
            cancelled = true;
        }
        let failed =
            |code, why: String| Err(Error::new(code, ErrorDomain::Esx, format!("{what}: {why}")));
        match (cancelled, kept) {
            (true, _) => Ok(()),
            (false, Some(task)) => {
                failed(ErrorCode::OperationUnsupported, format!("{task} cannot be cancelled"))
            }
            (false, None) => {
                failed(ErrorCode::OperationInvalid, "nothing is being done".to_owned())
            }
        }
    }
}
