//! Questions that machines ask, and their answers.

use esx_vi_api::{MoRef, Object, Value};

use super::datastore::Entry;
use super::fault::Fault;
use super::inventory::Item;
use super::machine::{FileRef, Serial};
use super::task::TaskState;
use super::tree::objects;
use super::{Answer, Model};

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// Something that a test made up.
    Test,
    /// The file of the serial port with this number exists.
    SerialFile(u8),
    /// The machine's files are not where they were.
    Moved,
}

/// A question (VI API `VirtualMachineQuestionInfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    id: String,
    message: &'static str,
    text: String,
    /// Keys and labels.
    choices: Vec<(String, String)>,
    default: Option<usize>,
    about: About,
    /// The task that it holds up.
    task: Option<MoRef>,
}

impl Question {
    /// `VirtualMachineQuestionInfo`.
    pub(crate) fn info(&self) -> Object {
        let choices = self.choices.iter().map(|(key, label)| {
            Object::new("ElementDescription")
                .with("label", label.as_str())
                .with("summary", label.as_str())
                .with("key", key.as_str())
        });
        let choice = Object::new("ChoiceOption")
            .with("choiceInfo", objects("ElementDescription", choices))
            .with_opt("defaultIndex", self.default.and_then(|index| i32::try_from(index).ok()));
        let message = Object::new("VirtualMachineMessage")
            .with("id", self.message)
            .with("text", self.text.as_str());
        Object::new("VirtualMachineQuestionInfo")
            .with("id", self.id.as_str())
            .with("text", format!("{}:{}", self.message, self.text))
            .with("choice", choice)
            .with("message", objects("VirtualMachineMessage", [message]))
    }
}

impl Model {
    /// Lets a machine ask a question: keys and labels of its choices, and which of them is the default (an index that may
    /// lie outside, as clients must expect). It holds up the machine's unfinished task, if there is one. The choice
    /// labelled `Cancel` ends that task with a fault, any other lets it go on. A machine asks one question at a time:
    /// further ones follow when it is answered. Returns the question's id.
    pub fn ask(
        &mut self,
        machine: &MoRef,
        text: &str,
        choices: &[(&str, &str)],
        default: Option<usize>,
    ) -> Option<String> {
        let task = self.task_of(machine);
        let choices = choices.iter().map(|(k, l)| ((*k).to_owned(), (*l).to_owned())).collect();
        self.put_question(machine, "msg.test", text.to_owned(), choices, default, About::Test, task)
    }

    /// The ids of a machine's open questions; the first is the one that it asks.
    pub fn questions(&self, machine: &MoRef) -> Vec<String> {
        let machine = self.inventory.machine(machine);
        machine.map_or_else(Vec::new, |m| m.questions.iter().map(|q| q.id.clone()).collect())
    }

    /// Takes back the question that a machine asks; its task goes on.
    pub fn withdraw_question(&mut self, machine: &MoRef) -> bool {
        let Some(question) = self.take_question(machine) else { return false };
        self.unblock(question.task.as_ref());
        self.changed(true)
    }

    /// Answers as another client would do it.
    ///
    /// # Errors
    /// The fault of `AnswerVM`.
    pub fn answer(&mut self, machine: &MoRef, question: &str, choice: &str) -> Result<(), Fault> {
        let asked = self
            .inventory
            .machine(machine)
            .ok_or_else(|| Fault::object_not_found(machine))?
            .questions
            .first()
            .filter(|asked| asked.id == question)
            .ok_or_else(|| Fault::invalid_argument("questionId"))?;
        let Some((_, label)) = asked.choices.iter().find(|(key, _)| key == choice) else {
            return Err(Fault::invalid_argument("answerChoice"));
        };
        let label = label.clone();
        let Some(question) = self.take_question(machine) else { return Ok(()) };
        self.changed(true);
        if label.eq_ignore_ascii_case("cancel") {
            if let Some(task) = &question.task {
                let fault = Fault::new("GenericVmConfigFault", "The answer was to cancel.")
                    .with("reason", "The answer was to cancel.");
                self.end_task(task, Err(fault));
            }
            return Ok(());
        }
        match question.about {
            About::Test => {}
            About::SerialFile(port) => self.serial_file_answered(machine, port, choice == REPLACE),
            About::Moved => self.move_answered(machine, choice == COPIED),
        }
        self.unblock(question.task.as_ref());
        Ok(())
    }

    /// `AnswerVM`.
    pub(super) fn answer_vm(&mut self, machine: &MoRef, args: &Object) -> Result<Answer, Fault> {
        let text = |name| args.str(name).unwrap_or_default();
        self.answer(machine, text("questionId"), text("answerChoice"))?;
        Ok(Answer::Result(None))
    }

    /// Asks what has to be asked before a machine starts. Returns whether it did.
    pub(super) fn asks_before_power_on(&mut self, machine: &MoRef, task: &MoRef) -> bool {
        let Some(item) = self.inventory.machine(machine) else { return false };
        let choice = |key: &str, label: &str| (key.to_owned(), label.to_owned());
        if item.moved {
            let text =
                "The machine might have been moved or copied. Say which, so that its identity is \
                        kept or made anew."
                    .to_owned();
            let choices = vec![
                choice("button.uuid.cancel", "Cancel"),
                choice("button.uuid.movedTheVM", "I moved it"),
                choice(COPIED, "I copied it"),
            ];
            let task = Some(task.clone());
            self.put_question(
                machine,
                "msg.uuid.altered",
                text,
                choices,
                Some(2),
                About::Moved,
                task,
            );
            return true;
        }
        let asked = self.inventory.task(task).map_or(&[][..], |task| &task.asked_ports);
        let file = item.serials.iter().find_map(|port| match &port.backing {
            Serial::File(file) if !asked.contains(&port.number) => {
                let (datastore, path) = item.file_place(file);
                let datastore = self.inventory.datastore(datastore)?;
                matches!(self.inventory.entry(datastore, &path), Some(Entry::File(_)))
                    .then(|| (port.number, item.datastore_path(&self.inventory, file)))
            }
            _ => None,
        });
        let Some((number, path)) = file else { return false };
        let text = format!(
            "The file \"{path}\" of a serial port exists. Shall new output be appended to it, or replace it?"
        );
        let choices =
            vec![choice(APPEND, "Append"), choice(REPLACE, "Replace"), choice(CANCEL, "Cancel")];
        if let Some(task) = self.inventory.task_mut(task) {
            task.asked_ports.push(number);
        }
        let (about, task) = (About::SerialFile(number), Some(task.clone()));
        self.put_question(machine, "msg.serial.file.open", text, choices, Some(0), about, task);
        true
    }

    #[allow(clippy::too_many_arguments, reason = "each is one member of the question")]
    fn put_question(
        &mut self,
        machine: &MoRef,
        message: &'static str,
        text: String,
        choices: Vec<(String, String)>,
        default: Option<usize>,
        about: About,
        task: Option<MoRef>,
    ) -> Option<String> {
        self.next_question += 1;
        let id = self.next_question.to_string();
        let question =
            Question { id: id.clone(), message, text, choices, default, about, task: task.clone() };
        self.inventory.machine_mut(machine)?.questions.push(question);
        if let Some(task) = &task {
            self.block_task(task);
        }
        self.changed(true);
        Some(id)
    }

    fn take_question(&mut self, machine: &MoRef) -> Option<Question> {
        let questions = &mut self.inventory.machine_mut(machine)?.questions;
        (!questions.is_empty()).then(|| questions.remove(0))
    }

    /// Removes the questions of a task that has ended.
    pub(super) fn drop_question_of(&mut self, task: &MoRef) {
        let Some(machine) = self.inventory.task(task).and_then(|task| task.machine.clone()) else {
            return;
        };
        if let Some(machine) = self.inventory.machine_mut(&machine) {
            machine.questions.retain(|question| question.task.as_ref() != Some(task));
        }
    }

    /// Lets a task go on, if no other question holds it up.
    fn unblock(&mut self, task: Option<&MoRef>) {
        let Some(moref) = task else { return };
        let Some(task) = self.inventory.task(moref) else { return };
        let more = task.machine.as_ref().and_then(|machine| self.inventory.machine(machine));
        let more = more.is_some_and(|m| m.questions.iter().any(|q| q.task.as_ref() == Some(moref)));
        if more || task.state != TaskState::Running {
            return;
        }
        if let Some(task) = self.inventory.task_mut(moref) {
            task.blocked = false;
        }
        self.run_task(moref);
    }

    fn serial_file_answered(&mut self, machine: &MoRef, port: u8, replace: bool) {
        let now = self.now;
        let Some(machine) = self.inventory.machine(machine) else { return };
        let port = machine.serials.iter().find(|other| other.number == port);
        let Some(Serial::File(file)) = port.map(|port| &port.backing) else { return };
        let (datastore, path) = machine.file_place(file);
        let datastore = datastore.clone();
        if let Some(Item::Datastore(datastore)) =
            self.inventory.get_mut(&datastore).filter(|_| replace)
        {
            datastore.put(path, Vec::new(), now);
        }
    }

    /// A copy gets an identity of its own; what was moved keeps it.
    fn move_answered(&mut self, moref: &MoRef, copied: bool) {
        let location = self.inventory.machine(moref).map(|m| self.inventory.location(m));
        let Some(machine) = self.inventory.machine_mut(moref) else { return };
        machine.moved = false;
        machine.location = location;
        if copied {
            machine.renew_identity();
        }
        machine.touch();
    }
}

const APPEND: &str = "button.serial.file.append";
const REPLACE: &str = "button.serial.file.replace";
const CANCEL: &str = "button.serial.file.cancel";
const COPIED: &str = "button.uuid.copiedTheVM";

/// The value of `runtime.question`: that of the first question.
pub(crate) fn asked(questions: &[Question]) -> Option<Value> {
    questions.first().map(|question| question.info().into())
}

/// Where a file lies: its datastore, and its path there.
impl super::machine::Machine {
    pub(crate) fn file_place<'a>(&'a self, file: &'a FileRef) -> (&'a MoRef, String) {
        match file {
            FileRef::Own(name) => (&self.place.datastore, self.in_directory(name)),
            FileRef::On { datastore, path } => (datastore, path.clone()),
        }
    }
}
