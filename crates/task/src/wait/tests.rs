//! Every rule by itself, and all of them under any order of events.

use proptest::prelude::*;

use super::*;
use crate::Choice;

fn question(id: &str, default: Option<usize>) -> Question {
    Question {
        id: id.to_owned(),
        text: format!("Q{id}?"),
        choices: vec![Choice::new("0", "No"), Choice::new("1", "Yes")],
        default,
    }
}

fn clear() -> Input {
    Input::Checked { question: None, others: Vec::new() }
}

fn state(state: TaskState) -> Input {
    Input::Updated {
        task: TaskUpdate { state: Some(state), ..TaskUpdate::default() },
        question: None,
    }
}

fn asks(question: Question, cancelable: bool) -> Input {
    let task = TaskUpdate {
        state: Some(TaskState::Running),
        cancelable: Some(cancelable),
        progress: Some(95),
    };
    Input::Updated { task, question: Some(Some(question)) }
}

/// The outputs for these inputs, shortened.
fn run(auto: AutoAnswer, inputs: Vec<Input>) -> Vec<String> {
    let mut wait = TaskWait::new(auto);
    let mut outputs = vec![wait.start()];
    outputs.extend(inputs.into_iter().map(|input| wait.step(input)));
    outputs
        .into_iter()
        .map(|output| match output {
            Output::Answer { question, choice } => format!("answer {question} {choice}"),
            Output::Done(Outcome::Refused(why)) => format!("refused: {why}"),
            Output::Done(Outcome::GaveUp { reason, task }) => {
                format!("gave up ({task:?}): {reason}")
            }
            Output::Done(outcome) => format!("{outcome:?}"),
            other => format!("{other:?}"),
        })
        .collect()
}

#[test]
fn a_task_runs_its_course() {
    let outputs = run(
        AutoAnswer::Never,
        vec![
            clear(),
            Input::Started,
            state(TaskState::Queued),
            state(TaskState::Running),
            state(TaskState::Success),
        ],
    );
    assert_eq!(outputs, ["Check", "Start", "Wait", "Wait", "Wait", "Succeeded"]);
    let outputs = run(AutoAnswer::Never, vec![clear(), Input::Started, state(TaskState::Error)]);
    assert_eq!(outputs.last().unwrap(), "Failed");
    assert_eq!(
        run(AutoAnswer::Never, vec![clear(), Input::NotStarted]).last().unwrap(),
        "NotStarted"
    );
    assert_eq!(
        run(AutoAnswer::Never, vec![clear(), Input::Started, Input::Vanished]).last().unwrap(),
        "Vanished"
    );
}

#[test]
fn an_open_question_keeps_a_task_from_being_started() {
    let open =
        |default| Input::Checked { question: Some(question("7", default)), others: Vec::new() };
    assert_eq!(
        run(AutoAnswer::Never, vec![open(Some(1))]),
        [
            "Check",
            "refused: not started: the machine asks \"Q7?\", possible answers are \"No\", \"Yes\""
        ]
    );
    assert_eq!(
        run(AutoAnswer::Default, vec![open(Some(1)), Input::Answered { worked: true }]),
        [
            "Check",
            "answer 7 1",
            "refused: not started: the machine asked \"Q7?\", which was answered with \"Yes\"; try again when its task has ended"
        ]
    );
    assert_eq!(
        run(AutoAnswer::Default, vec![open(Some(1)), Input::Answered { worked: false }])
            .last()
            .unwrap(),
        "refused: not started: the machine asked \"Q7?\", and the answer \"Yes\" was not accepted"
    );
    assert!(run(AutoAnswer::Default, vec![open(None)])[1].ends_with("none of them is the default"));
}

#[test]
fn an_unfinished_task_keeps_another_from_being_started() {
    let task = |state| OtherTask { name: "PowerOnVM_Task".to_owned(), state };
    let busy = Input::Checked {
        question: None,
        others: vec![task(TaskState::Success), task(TaskState::Queued)],
    };
    assert_eq!(
        run(AutoAnswer::Never, vec![busy])[1],
        "refused: not started: the task PowerOnVM_Task is not finished"
    );
    let idle = Input::Checked {
        question: None,
        others: vec![task(TaskState::Success), task(TaskState::Error)],
    };
    assert_eq!(run(AutoAnswer::Never, vec![idle])[1], "Start");
    // The question is named, not the task that it holds up.
    let both = Input::Checked {
        question: Some(question("7", None)),
        others: vec![task(TaskState::Running)],
    };
    assert!(run(AutoAnswer::Never, vec![both])[1].contains("Q7?"));
}

#[test]
fn a_late_question_is_answered_and_waiting_goes_on() {
    let outputs = run(
        AutoAnswer::Default,
        vec![
            clear(),
            Input::Started,
            asks(question("7", Some(0)), false),
            Input::Answered { worked: true },
            asks(question("8", Some(1)), false),
            // Another client was faster.
            Input::Answered { worked: false },
            state(TaskState::Success),
        ],
    );
    assert_eq!(outputs[3..], ["answer 7 0", "Wait", "answer 8 1", "Wait", "Succeeded"]);
}

#[test]
fn a_late_question_that_may_not_be_answered_cancels_the_task() {
    let begin =
        |cancelable| vec![clear(), Input::Started, asks(question("7", Some(0)), cancelable)];
    let mut inputs = begin(true);
    inputs.push(Input::Cancelled { worked: true });
    let outputs = run(AutoAnswer::Never, inputs);
    assert_eq!(outputs[3], "Cancel");
    assert!(outputs[4].starts_with("gave up (Cancelled): the machine asks \"Q7?\""), "{outputs:?}");
    let outputs = run(AutoAnswer::Never, begin(false));
    assert!(
        outputs[3].starts_with("gave up (LeftBehind): the machine asks \"Q7?\""),
        "{outputs:?}"
    );
}

#[test]
fn an_answer_that_is_refused_is_not_sent_for_ever() {
    let mut inputs = vec![clear(), Input::Started];
    for _ in 0..MAX_ANSWERS {
        inputs.extend([asks(question("7", Some(0)), true), Input::Answered { worked: false }]);
    }
    let outputs = run(AutoAnswer::Default, inputs);
    assert_eq!(outputs.iter().filter(|o| o.starts_with("answer")).count(), 3);
    assert_eq!(outputs.last().unwrap(), "Cancel");
}

#[test]
fn deadlines_and_callers_end_the_wait() {
    for (input, text) in [
        (Input::DeadlinePassed, "the task took too long"),
        (Input::GaveUp, "the wait was cancelled"),
    ] {
        let outputs = run(
            AutoAnswer::Never,
            vec![clear(), Input::Started, input.clone(), Input::Cancelled { worked: false }],
        );
        assert_eq!(outputs[3..], ["Cancel".to_owned(), format!("gave up (LeftBehind): {text}")]);
        // Before the start nothing is left behind.
        assert_eq!(run(AutoAnswer::Never, vec![input])[1], format!("gave up (NotStarted): {text}"));
    }
}

#[test]
fn a_policy_chooses_before_the_default_does() {
    let choose = |key: &'static str| {
        Some(Policy::new(move |question: &Question| (question.id == "7").then(|| key.to_owned())))
    };
    let open = |id| Input::Checked { question: Some(question(id, Some(0))), others: Vec::new() };
    for (auto, key, id, expected) in [
        (AutoAnswer::Never, "1", "7", "answer 1"),
        (AutoAnswer::Default, "1", "7", "answer 1"),
        // No choice of the question, or none made: as without a policy.
        (AutoAnswer::Never, "9", "7", "refused"),
        (AutoAnswer::Default, "9", "7", "answer 0"),
        (AutoAnswer::Never, "1", "8", "refused"),
        (AutoAnswer::Default, "1", "8", "answer 0"),
    ] {
        let shown = |output| match output {
            Output::Answer { choice, .. } => format!("answer {choice}"),
            Output::Done(Outcome::Refused(_)) => "refused".to_owned(),
            other => format!("{other:?}"),
        };
        // Before the start: answered or not, nothing is started.
        let mut wait = TaskWait::new(auto).with_policy(choose(key));
        wait.start();
        assert_eq!(shown(wait.step(open(id))), expected, "{auto:?} {key} {id}");
        if expected != "refused" {
            let end = wait.step(Input::Answered { worked: true });
            assert!(matches!(end, Output::Done(Outcome::Refused(Refusal::Answered { .. }))));
        }
        // While waiting.
        let mut wait = TaskWait::new(auto).with_policy(choose(key));
        wait.start();
        wait.step(clear());
        wait.step(Input::Started);
        let output = wait.step(asks(question(id, Some(0)), true));
        let expected = if expected == "refused" { "Cancel" } else { expected };
        assert_eq!(shown(output), expected, "{auto:?} {key} {id}");
    }
}

fn any_question() -> impl Strategy<Value = Question> {
    (0..4u8, proptest::option::of(0..4usize), any::<bool>()).prop_map(|(id, default, choices)| {
        let mut question = question(&id.to_string(), default);
        if !choices {
            question.choices.clear();
        }
        question
    })
}

fn any_input() -> impl Strategy<Value = Input> {
    let states = prop_oneof![
        Just(TaskState::Queued),
        Just(TaskState::Running),
        Just(TaskState::Success),
        Just(TaskState::Error)
    ];
    let others = proptest::collection::vec(
        states.clone().prop_map(|state| OtherTask { name: "T".to_owned(), state }),
        0..3,
    );
    let task = (
        proptest::option::of(states),
        proptest::option::of(any::<bool>()),
        proptest::option::of(0..=100u8),
    )
        .prop_map(|(state, cancelable, progress)| TaskUpdate { state, cancelable, progress });
    prop_oneof![
        1 => (proptest::option::of(any_question()), others).prop_map(|(question, others)| Input::Checked { question, others }),
        4 => Just(Input::Started),
        1 => Just(Input::NotStarted),
        6 => (task, proptest::option::of(proptest::option::of(any_question())))
            .prop_map(|(task, question)| Input::Updated { task, question }),
        3 => any::<bool>().prop_map(|worked| Input::Answered { worked }),
        1 => Just(Input::Vanished),
        1 => Just(Input::DeadlinePassed),
        1 => Just(Input::GaveUp),
        2 => any::<bool>().prop_map(|worked| Input::Cancelled { worked }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever order events come in: nothing is started after something was found in the way,
    /// nothing is started twice, nothing is answered that may not be, and the end is the end.
    #[test]
    fn any_order_of_events(auto in any::<bool>(), first in any_input(), inputs in proptest::collection::vec(any_input(), 0..60)) {
        let auto = if auto { AutoAnswer::Default } else { AutoAnswer::Never };
        let mut wait = TaskWait::new(auto);
        prop_assert_eq!(wait.start(), Output::Check);
        let mut started = 0;
        let mut before = Output::Check;
        let mut done: Option<Output> = None;
        let mut answers = std::collections::HashMap::new();
        for input in std::iter::once(first).chain(inputs) {
            let output = wait.step(input.clone());
            if let Some(done) = &done {
                prop_assert_eq!(&output, done, "after the end");
            }
            let new = output != before;
            match &output {
                Output::Start if new => {
                    started += 1;
                    let Input::Checked { question: None, others } = &input else {
                        return Err(TestCaseError::fail(format!("started by {input:?}")));
                    };
                    prop_assert!(others.iter().all(|t| !t.state.is_unfinished()));
                }
                Output::Answer { question, .. } if new => {
                    prop_assert_eq!(auto, AutoAnswer::Default);
                    *answers.entry((started > 0, question.clone())).or_insert(0) += 1;
                }
                Output::Wait | Output::Cancel => prop_assert_eq!(started, 1),
                Output::Done(outcome) => {
                    if done.is_none() {
                        let refused = matches!(outcome, Outcome::Refused(_));
                        prop_assert!(!(refused && started > 0), "{outcome:?} after a start");
                        let ended = matches!(outcome, Outcome::Succeeded | Outcome::Failed | Outcome::Vanished | Outcome::NotStarted);
                        prop_assert!(!(ended && started == 0), "{outcome:?} without a start");
                    }
                    done = Some(output.clone());
                }
                _ => {}
            }
            before = output;
        }
        prop_assert!(started <= 1);
        prop_assert!(answers.values().all(|n| *n <= MAX_ANSWERS), "{answers:?}");
    }

    /// Whatever happened before, a host that goes on to tell the task's end ends the wait.
    #[test]
    fn the_task_s_end_is_the_end(inputs in proptest::collection::vec(any_input(), 0..30)) {
        let mut wait = TaskWait::new(AutoAnswer::Default);
        wait.start();
        let mut output = Output::Check;
        for input in inputs {
            output = wait.step(input);
        }
        for _ in 0..10 {
            output = match output {
                Output::Check => wait.step(clear()),
                Output::Start => wait.step(Input::Started),
                Output::Wait => wait.step(state(TaskState::Success)),
                Output::Answer { .. } => wait.step(Input::Answered { worked: true }),
                Output::Cancel => wait.step(Input::Cancelled { worked: false }),
                Output::Done(_) => break,
            };
        }
        prop_assert!(matches!(output, Output::Done(_)), "{output:?}");
    }
}
